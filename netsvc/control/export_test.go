package control

// Dial connects to a control channel, for tests that speak HTTP themselves.
var Dial = dial

// NewClientWithin is NewClient with other limits on how long an answer may take.
var NewClientWithin = newClient
