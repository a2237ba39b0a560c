"""An emulated AWS, honest enough to deploy to: see README.md."""

from emulators.aws.handle import Emulator, start
from emulators.aws.settings import Settings

__all__ = ["Emulator", "Settings", "start"]
