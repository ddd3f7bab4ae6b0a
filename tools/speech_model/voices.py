"""Speech with known sounds: what Debian's `flite` and `festival` voices say, and when each sound of it ends."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tools.speech_model.phones import DIPHTHONGS, LANGUAGES, Segment

COMMON = """the of and to in that you was for on are as with his they at be this from have or by one had not but what all were when we there
can an your which their said if do will each about how up out them then she many some so these would other into has more her two like him
see time could no make than first been its who now people my made over did down only way find use may water long little very after words
called just where most know get through back much before go good new write our used me man too any day same right look think also around
another came come work three word must because does part even place well such here take why help put different away again off went old
number great tell men say small every found still between name should home big give air line set own under read last never us left end
along while might next sound below saw something thought both few those always looked show large often together asked house world going
want school important until form food keep children feet land side without boy once animals life enough took sometimes four head above
kind began almost live page got earth need far hand high year mother light parts country father let night following picture being study
second eyes soon times story boys since white days ever paper hard near sentence better best across during today others however sure means
knew try told young miles sun ways thing whole hear example heard several change answer room sea against top turned learn point city play
toward five using himself usually bubble maybe problem purple family seven fifty move above wave baby pepper moment method number film
beautiful summer weather brother measure garage orange church judge beach pleasure yellow yes year young window quiet quick voice boy
oil cow power flower fire hour shower my pie five wife life favour over very even leave love live give move prove improve"""
"""English words; the last ones are rich in sounds that the common ones lack."""
AT_ONCE = 10
ONSETS, VOWELS, CODAS = tuple("pbmfvtdkslrn"), tuple("aeiou"), ("", "", "", "n", "l", "s", "r")


@dataclass(frozen=True)
class Voice:
    """A synthetic voice.

    Attributes:
        program: flite or festival.
        name: as the program calls it.
    """

    program: str
    name: str
    language: str
    utterances: int


VOICES = (
    Voice("flite", "slt", "english", 150),
    Voice("flite", "rms", "english", 150),
    Voice("flite", "awb", "english", 150),
    Voice("flite", "kal16", "english", 50),
    Voice("festival", "voice_cmu_us_slt_arctic_hts", "english", 60),
    Voice("festival", "voice_kal_diphone", "english", 30),
    Voice("festival", "voice_ked_diphone", "english", 60),
    Voice("festival", "voice_lp_diphone", "italian", 50),
    Voice("festival", "voice_pc_diphone", "italian", 50),
    Voice("festival", "voice_suo_fi_lj_diphone", "finnish", 40),
    Voice("festival", "voice_hy_fi_mv_diphone", "finnish", 40),
    Voice("festival", "voice_czech_dita", "czech", 50),
    Voice("festival", "voice_czech_machac", "czech", 50),
)


def sentence(language: str, rng: np.random.Generator) -> str:
    """Words at random, with a comma now and then, so that there are pauses."""
    words = []
    for _ in range(int(rng.integers(6, 13))):
        if language == "english":
            word = str(rng.choice(COMMON.split()))
        else:
            syllables = int(rng.integers(1, 4))
            word = "".join(str(rng.choice(ONSETS)) + str(rng.choice(VOWELS)) for _ in range(syllables)) + str(rng.choice(CODAS))
        words.append(word + ("," if rng.uniform() < 0.15 else ""))
    return " ".join(words)


def speak(folder: Path, seed: int = 1) -> None:
    """Write for every voice PROGRAM_NAME_00000.wav and .json (the sounds with their ends, and the language), unless they are there."""
    folder.mkdir(parents=True, exist_ok=True)
    for voice in VOICES:
        rng = np.random.default_rng([seed, *voice.name.encode()])
        asked = [
            (sentence(voice.language, rng), float(rng.uniform(0.75, 1.35)), folder / f"{voice.program}_{voice.name}_{number:05d}.wav")
            for number in range(voice.utterances)
        ]
        missing = [one for one in asked if not one[2].with_suffix(".json").exists()]
        speaking = with_flite if voice.program == "flite" else with_festival
        for path, segments in speaking(voice.name, missing):
            known = {*LANGUAGES[voice.language], *(DIPHTHONGS if voice.language == "english" else ())}
            if {phone for phone, _ in segments} <= known:
                path.with_suffix(".json").write_text(json.dumps({"language": voice.language, "segments": segments}))


Asked = tuple[str, float, Path]
"""What to say, how slowly, and where to write it."""


def with_flite(name: str, asked: Sequence[Asked]) -> Iterator[tuple[Path, list[Segment]]]:
    for text, stretch, path in asked:
        command = ["flite", "-voice", name, "--setf", f"duration_stretch={stretch:.2f}", "-psdur", "-t", text, "-o", str(path)]
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        yield path, [(phone, float(end)) for phone, end in re.findall(r"([a-z#]+):([\d.]+)", printed)]


def with_festival(name: str, asked: Sequence[Asked]) -> Iterator[tuple[Path, list[Segment]]]:
    """Many at a time: most of its time goes into loading the voice."""
    for start in range(0, len(asked), AT_ONCE):
        some = asked[start : start + AT_ONCE]
        script = [f"({name})"]
        for text, stretch, path in some:
            script.append(f"(Parameter.set 'Duration_Stretch {stretch:.2f})")
            script.append(f'(set! u (Utterance Text "{text}"))(utt.synth u)(utt.save.wave u "{path}" \'riff)')
            script.append(f'(utt.save.segs u "{path.with_suffix(".lab")}")')
        with tempfile.NamedTemporaryFile("w", suffix=".scm") as file:
            file.write("\n".join(script))
            file.flush()
            subprocess.run(["festival", "-b", file.name], capture_output=True, check=True)
        for _, _, path in some:
            labels = path.with_suffix(".lab")
            rows = [line.split() for line in labels.read_text("latin-1").splitlines()[1:]]
            labels.unlink()
            yield path, [(row[2], float(row[0])) for row in rows if len(row) >= 3]
