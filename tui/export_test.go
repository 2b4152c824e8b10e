package tui

// BeatMsg is for tests, whose clock stands still.
type BeatMsg = beatMsg
