//go:build unix

package config

// maxControlBytes is what the kernel takes as the path of a socket: sun_path has 108
// bytes (unix(7)), the last of them for a NUL.
const maxControlBytes = 107
