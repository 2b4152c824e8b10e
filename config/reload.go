package config

// Change is a setting that differs between two Configs.
type Change struct {
	Setting string // its name
	Live    bool   // it can change while the daemon runs
}

// Changes says how a daemon with the settings running gets to those in next, in
// the order of the table. applied is what it can have at once: next, but with
// the settings that need a restart as they are in running.
func Changes(running, next *Config) (changes []Change, applied Config) {
	applied = *next
	for i := range settings {
		s := &settings[i]
		value := s.get(running)
		if value == s.get(next) {
			continue
		}
		possible := s.live.possible != nil && s.live.possible(running, next)
		changes = append(changes, Change{s.name, possible})
		if possible {
			continue
		}
		if err := s.set(&applied, value); err != nil {
			panic("config: " + s.name + " does not take its own value") // the table is wrong
		}
	}
	return changes, applied
}
