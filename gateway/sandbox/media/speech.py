"""An example of speech for inputs: a WAV file of hummed syllables, made with the standard library only."""

from __future__ import annotations

import array
import io
import math
import sys
import wave

_RATE = 16_000
_SECONDS = 3.0
_SYLLABLE = 0.25
_PITCHES = (196.0, 220.0, 247.0, 220.0, 175.0, 196.0)
_OVERTONES = ((1, 0.6), (2, 0.25), (3, 0.15))
_LOUDNESS = 12_000


def speech() -> bytes:
    """Return a WAV file of three seconds: mono, 16 bit, 16 kHz."""
    samples = array.array("h", (_sample(number / _RATE) for number in range(int(_RATE * _SECONDS))))
    if sys.byteorder == "big":
        samples.byteswap()
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(_RATE)
        out.writeframes(samples.tobytes())
    return file.getvalue()


def _sample(at: float) -> int:
    syllable, inside = divmod(at, _SYLLABLE)
    pitch = _PITCHES[int(syllable) % len(_PITCHES)]
    hum = sum(share * math.sin(2 * math.pi * pitch * times * at) for times, share in _OVERTONES)
    return int(_LOUDNESS * math.sin(math.pi * inside / _SYLLABLE) * hum)
