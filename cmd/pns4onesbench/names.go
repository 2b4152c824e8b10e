//go:build linux

package main

// What the tables call scenarios, figures and subjects; --json has the names that
// do not change.
var (
	scenarioTitles = map[string]string{
		"broadcast":     "One message to all",
		"sustained":     "Messages without a pause",
		"sustained1000": "Messages without a pause, few sessions",
		"memory":        "Memory",
		"connect":       "Connecting and registering",
		"post":          "Posting to one session",
		"latency":       "Latency, unloaded",
		"beside":        "To one user while a message to all is being delivered",
		"slowhalf":      "Every second session does not read",
		"scale":         "Growth",
	}
	figureNames = map[string]string{
		"time_to_last":       "to the last session",
		"cpu_per_delivery":   "CPU for each delivery",
		"cpu_per_message":    "CPU for each message to an infobase",
		"deliveries":         "deliveries",
		"client_share":       "CPU share of the clients' side",
		"rss":                "memory",
		"rss_per_session":    "for each session",
		"connects":           "sessions",
		"cpu_per_connect":    "CPU for each session",
		"posts_kept":         "posts, kept connections",
		"cpu_per_post_kept":  "CPU for each post, kept connections",
		"client_share_kept":  "CPU share of the clients' side, kept",
		"posts_fresh":        "posts, a new connection each",
		"cpu_per_post_fresh": "CPU for each post, a new connection",
		"client_share_fresh": "CPU share of the clients' side, new",
		"kept_p50":           "kept connection, p50",
		"kept_p99":           "kept connection, p99",
		"fresh_p50":          "new connection, p50",
		"fresh_p99":          "new connection, p99",
		"beside_p50":         "p50",
		"beside_p90":         "p90",
		"beside_worst":       "the worst of 50",
		"time_all_read":      "to the last, all read",
		"time_half_slow":     "to the last of the others, half do not read",
		"time_of_the_others": "the second by the first",
		"rss_all_read":       "memory, all read",
		"rss_queues_full":    "memory, the queues of the half are full",
		"queues_bound":       "bound of the queues",
	}
	subjectNames = map[string]string{
		ofDaemon:     "pns4ones",
		ofOther:      "other build",
		ofRaw:        "raw loop",
		ofAccept:     "accept loop",
		ofParsing:    "parsing handler",
		ofForwarding: "parsing and writing",
		ofNATS:       "nats-server",
	}
)
