package main

import (
	"time"

	"github.com/spf13/pflag"

	"github.com/pns4ones/pns4ones/config"
)

// duration is the value of a flag that knows days and weeks, as the settings do.
type duration time.Duration

// String is part of pflag.Value.
func (d *duration) String() string { return time.Duration(*d).String() }

// Set is part of pflag.Value.
func (d *duration) Set(text string) error {
	parsed, err := config.ParseDuration(text)
	if err == nil {
		*d = duration(parsed)
	}
	return err
}

// Type is part of pflag.Value.
func (d *duration) Type() string { return "duration" }

// durationFlag adds a flag; what it says when nobody gives it is in value already.
func durationFlag(flags *pflag.FlagSet, value *time.Duration, name, usage string) {
	flags.Var((*duration)(value), name, usage)
}
