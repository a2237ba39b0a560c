import sys
from pathlib import Path

# importlib mode puts no folder on sys.path itself
sys.path.insert(0, str(Path(__file__).parent))
