"""The image side of the backend: found by id, built from recipes, booted directly."""

import os
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import attrs

from immutable.errors import InvalidInput, UnknownImage
from immutable.images.recipe import Files, Packages, Recipe, Run
from immutable.model import Digest, Image, ImageId, digest_of
from immutable_libvirt.building.base import codename_of
from immutable_libvirt.building.boot import boot_key, build_kernel, find_kernel
from immutable_libvirt.building.chroot import require_root
from immutable_libvirt.building.kernel import COMMAND_LINE
from immutable_libvirt.building.layers import Builder, Built, Step, find, steps_of
from immutable_libvirt.building.process import require
from immutable_libvirt.manifest import Manifest
from immutable_libvirt.pool import Pool, read

_BACKEND = "libvirt"
_IMAGE_ID = re.compile(r"img-[0-9a-f]{16}")
_MEBIBYTE = 1 << 20
_BASE_BYTES = 600 * _MEBIBYTE
_PACKAGES_BYTES = 400 * _MEBIBYTE
_MOST_DISKS = 16
