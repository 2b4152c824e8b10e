package config

// maxControlBytes is the length of a pipe's name (CreateNamedPipe).
const maxControlBytes = 256
