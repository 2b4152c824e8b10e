package control

// Dial connects to a control channel, for tests that speak HTTP themselves.
var Dial = dial
