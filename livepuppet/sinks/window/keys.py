"""From the key codes of OpenCV's window systems to the names that livepuppet's keys have."""

from __future__ import annotations

ESCAPE = 27
X11 = {65361: "left", 65362: "up", 65363: "right", 65364: "down"}
X11_KEYPAD = {65430: "left", 65431: "up", 65432: "right", 65433: "down", 65451: "+", 65453: "-"} | {
    65456 + digit: str(digit) for digit in range(10)
}
WINDOWS = {0x250000: "left", 0x260000: "up", 0x270000: "right", 0x280000: "down"}
MAC = {0xF700: "up", 0xF701: "down", 0xF702: "left", 0xF703: "right"}
NAMED = X11 | X11_KEYPAD | WINDOWS | MAC


def key_name(code: int) -> str:
    """The name of a `cv2.waitKeyEx` code, as `Screen.keys` has it; '' for keys that have none (Shift alone, function keys).

    GTK puts modifiers (Shift, NumLock …) into the bits above 16, Windows puts arrow keys there.
    """
    if code < 0:
        return ""
    if code in WINDOWS:
        return WINDOWS[code]
    code &= 0xFFFF
    if code == ESCAPE:
        return "esc"
    if code in NAMED:
        return NAMED[code]
    return chr(code).upper() if 32 <= code < 127 else ""
