package control

// NewClientWithin is NewClient with other limits on how long an answer may take.
var NewClientWithin = newClient
