"""`livepuppet about`: one page on pictures like those this program makes."""

from __future__ import annotations

import argparse
import textwrap

from livepuppet.version import __version__

SUMMARY = "How such pictures are made, how to recognise them, and how this program marks its own."

PAGE = """
livepuppet {version}: moving portraits

HOW SUCH PICTURES ARE MADE
One photograph or painting is enough. A program looks at a second person, the driver, in a webcam or a video, measures how their face moves
(the turn of the head, eyes, brows, lips), and moves the portrait the same way. This one does so in two ways: the landmark engine bends the
portrait's own pixels along 478 points of the face and borrows the inside of the driver's open mouth; the FOMM engine lets a neural network
paint each frame anew (Siarohin et al., First Order Motion Model, 2019). Either runs on an ordinary laptop, while somebody talks. Voices can
be imitated as well: seeing and hearing someone in a call no longer proves that it is them.

HOW TO RECOGNISE THEM
In a call, ask the other person to turn their head all the way to the side, to pass a hand slowly in front of the face, to stand up, or to
move the camera: portraits that move are good to about 30 degrees of turn, and have never seen what is behind a hand. Look at the edge of
the hair and jaw while the head turns, at teeth and tongue, at glasses and earrings, and at whether the shoulders and the light on the face
take part in the movement. Better programs show fewer of these signs each year; not seeing any proves nothing. What helps for good: call
back on a number that you know, or ask what only that person can answer.

HOW THIS PROGRAM MARKS ITS OWN
Every frame, also in the virtual camera, carries an invisible mark: a faint pattern in the brightness (at most 3 of 255 levels) that says
"livepuppet, synthetic" and a random number for the session; nothing about the person at the keyboard. It outlives video compression,
scaling, cropping and a screenshot. Recordings and renders also carry content credentials (C2PA): a signed statement of how they were made,
which any C2PA reader can show. --label writes a visible text into the picture, for places whose law asks for one.
Whoever wants to can leave these marks out, destroy them, or put them onto any picture. So a mark that is found says a lot, if not
everything; one that is missing says nothing.

    livepuppet verify FILE...                  does a picture or video carry these marks?
    livepuppet protect PHOTO --output OUT      make a photo harder to animate, where that works

BEFORE YOU USE IT
Animate a living person's portrait only with their consent. Tell those who watch. Do not use it to deceive or to humiliate anybody, or to
pass a check of identity; in many countries that is a crime, and everywhere it does harm.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    pass


def run(options: argparse.Namespace) -> int:
    for paragraph in PAGE.format(version=__version__).strip().split("\n\n"):
        print("\n".join(fill_page(line) for line in join_lines(paragraph)), end="\n\n")
    return 0


def join_lines(paragraph: str) -> list[str]:
    """The paragraph's headings and commands each on a line of its own, its running text in one."""
    lines: list[str] = []
    running = False
    for line in paragraph.split("\n"):
        apart = line.isupper() or line.startswith(" ")
        if running and not apart:
            lines[-1] += " " + line
        else:
            lines.append(line)
        running = not apart
    return lines


def fill_page(line: str) -> str:
    return line if line.startswith(" ") else textwrap.fill(line, 100)
