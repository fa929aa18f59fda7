"""How zip archives show that they are damaged. Not in `files`, which every start imports: zipfile comes slowly."""

from __future__ import annotations

import lzma
import struct
import zipfile
import zlib

# What zipfile was seen to raise; RuntimeError: encrypted or, as NotImplementedError, packed in an unknown way.
ZIP_ERRORS = (
    zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, lzma.LZMAError, struct.error,
    KeyError, RuntimeError, EOFError,
)  # fmt: skip
