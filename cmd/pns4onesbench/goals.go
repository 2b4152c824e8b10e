//go:build linux

package main

// goals are those of the project, for 10 000 sessions and frames of 400 bytes,
// both sides pinned, within one run: by scenario and figure.
var goals = map[string][]Goal{
	"broadcast/time_to_last":      {{Against: ofRaw, AtMost: 1.15}},
	"broadcast/cpu_per_delivery":  {{Against: ofRaw, AtMost: 1.2}},
	"sustained/deliveries":        {{Against: ofRaw, AtLeast: 1}, {Against: ofNATS, AtLeast: 1.3}},
	"sustained1000/deliveries":    {{Against: ofNATS, AtLeast: 1}},
	"memory/rss_per_session":      {{AtMost: 4 << 10}},
	"connect/connects":            {{Against: ofAccept, AtLeast: 0.7}},
	"post/posts_kept":             {{Against: ofParsing, AtLeast: 0.8}},
	"post/posts_fresh":            {{Against: ofParsing, AtLeast: 0.85}},
	"latency/kept_p99":            {{AtMost: 1e-3}},
	"latency/fresh_p99":           {{AtMost: 1e-3}},
	"slowhalf/time_of_the_others": {{AtMost: 1.1}},
}
