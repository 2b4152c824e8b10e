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

	// Those of a cluster are for three nodes.
	"cluster/bytes_p50_more":         {{AtMost: 0.25e-3}},
	"cluster/bytes_p99_more":         {{AtMost: 0.5e-3}},
	"cluster/cpu_posted_to":          {{Against: ofSingle, AtMost: 2}},
	"cluster/cpu_without_recipient":  {{Against: ofSingle, AtMost: 0.75}},
	"cluster/change_p99":             {{AtMost: 20e-3}},
	"cluster/change_after_nats":      {{AtMost: 0.5}},
	"cluster/longest_peer_killed":    {{AtMost: 0.1}},
	"cluster/longest_nats_killed":    {{AtMost: 0.1}},
	"cluster/lost_nats_killed":       {{None: true}},
	"cluster/handover":               {{AtMost: 1}},
	"cluster/missed_during_handover": {{None: true}},
}
