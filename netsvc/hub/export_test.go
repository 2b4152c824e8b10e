package hub

// Delivered is Stats().Delivered without the rest, for loops that wait.
func (h *Hub) Delivered() uint64 { return h.counters.delivered.Load() }
