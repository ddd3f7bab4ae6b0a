"""Reading and writing videos: exact timestamps, sound, image sequences, playback at its own pace."""
