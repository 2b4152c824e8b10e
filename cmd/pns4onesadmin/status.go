package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc/control"
)

// statusCommand shows how the daemon is.
func (p *program) statusCommand() *cobra.Command {
	var byApp, watch bool
	var span time.Duration
	var ref, node string
	cmd := p.command("status", nil, func(cmd *cobra.Command, _ []string) error {
		past := cmd.Flags().Changed("history") || ref != ""
		if !cmd.Flags().Changed("history") {
			span = time.Hour
		}
		switch {
		case past && byApp:
			return wrongUsage("admin.apps_or_history")
		case watch && node == allNodes:
			return wrongUsage("admin.watch_one_node")
		case span < time.Second || span > 24*time.Hour:
			return wrongUsage("admin.history_span")
		}
		return p.withNode(node, func(client *control.Client) error {
			show := func(ctx context.Context, p *program, _ int) error {
				return p.eachNode(ctx, client, node, func(p *program, client *control.Client) error {
					if past {
						return p.history(ctx, client, ref, span)
					}
					return p.status(ctx, client, byApp)
				})
			}
			if watch {
				return p.watch(cmd.Context(), show)
			}
			return show(cmd.Context(), p, 0)
		})
	})
	cmd.Flags().BoolVar(&byApp, "apps", false, p.text.T("admin.flag_by_app"))
	durationFlag(cmd.Flags(), &span, "history", p.text.T("admin.flag_history"))
	cmd.Flags().StringVar(&ref, "app", "", p.text.T("admin.flag_history_app"))
	cmd.RegisterFlagCompletionFunc("app", p.completeApps)
	cmd.Flags().BoolVar(&watch, "watch", false, p.text.T("admin.flag_watch"))
	p.nodeFlag(cmd, &node, true)
	return withForms(cmd, formWide)
}

// status prints how the daemon is, and with byApp how each app is.
func (p *program) status(ctx context.Context, client *control.Client, byApp bool) error {
	ask := client.Status
	if byApp {
		ask = client.StatusByApp
	}
	status, err := ask(ctx)
	if err != nil {
		return err
	}
	if p.json {
		return p.printJSON(status)
	}
	p.heading()
	p.printBlock(p.statusFields(status))
	if byApp {
		fmt.Fprintln(p.stdout)
		p.printAppStatus(status.ByApp)
	}
	return nil
}

func (p *program) statusFields(s control.Status) []field {
	words := p.words(nil)
	var fields []field
	add := func(name, value string) {
		fields = append(fields, field{p.text.T("admin.status_" + name), value})
	}
	rate := func(n uint64, perSecond float64) string {
		return count(p, n) + "  " + p.text.T("admin.per_second", "rate", words.Rate(perSecond))
	}
	if s.DatabaseUnavailable != "" {
		add("database_unavailable", p.text.T("admin.database_unavailable", "why", locale.Clean(s.DatabaseUnavailable)))
	}
	if s.LastChangeInDoubt {
		add("in_doubt", p.text.T("admin.last_change_in_doubt"))
	}
	add("version", s.Version)
	if s.UpgradeFailed != "" {
		add("upgrade_failed", locale.Clean(s.UpgradeFailed))
	}
	if s.LastHandover != nil {
		add("last_handover", p.handover(s.LastHandover))
	}
	add("uptime", words.Age(time.Duration(s.UptimeSeconds)*time.Second))
	add("listen", s.Listen)
	add("service", s.Service)
	add("control", s.Control)
	if s.MetricsListen != "" {
		add("metrics", s.MetricsListen)
	}
	if s.TLSExpiresAt != nil {
		add("tls", p.expiry(*s.TLSExpiresAt, time.Now()))
	}
	if s.TLSFailure != "" {
		add("tls_failure", locale.Clean(s.TLSFailure))
	}
	add("log_level", s.LogLevel)
	if s.Cluster != nil {
		fields = append(fields, p.clusterFields(s.Cluster)...)
	}
	add("apps", count(p, s.Apps))
	add("sessions", count(p, s.Sessions)+"  "+p.text.T("admin.opened_closed",
		"opened", words.Rate(s.Rates.Opened),
		"closed", words.Rate(s.Rates.Closed)))
	if s.Detached > 0 {
		add("detached", count(p, s.Detached))
	}
	if s.Missed > 0 {
		add("missed", count(p, s.Missed))
	}
	add("unregistered", count(p, s.Unregistered))
	add("registrations", rate(s.Registrations, s.Rates.Registrations))
	add("messages", rate(s.Messages, s.Rates.Messages))
	add("delivered", rate(s.Delivered, s.Rates.Delivered))
	if l := s.Latency; l.P50 != nil {
		add("latency", p.text.T("admin.quantiles",
			"p50", words.Seconds(*l.P50),
			"p95", words.Seconds(*l.P95),
			"p99", words.Seconds(*l.P99)))
	}
	add("no_recipient", count(p, s.NoRecipient))
	add("slow", count(p, s.DroppedAsSlow))
	add("refused", p.total(s.Refused))
	add("closed", p.total(s.Closed))
	add("http", p.total(s.HTTP.Status))
	if len(positive(s.HTTP.Refused)) > 0 {
		add("http_refused", p.total(s.HTTP.Refused))
	}
	if s.HTTP.TLSHandshakeFailures > 0 {
		add("handshakes", count(p, s.HTTP.TLSHandshakeFailures))
	}
	if s.HTTP.HealthChecks > 0 {
		add("health_checks", count(p, s.HTTP.HealthChecks))
	}
	if len(positive(s.Rejected)) > 0 {
		add("rejected", p.total(s.Rejected))
	}
	add("memory", words.Bytes(s.MemoryBytes))
	add("queue_memory", p.queueMemory(s.QueueMemory))
	if len(s.RestartNeeded) > 0 {
		add("restart", strings.Join(s.RestartNeeded, ", "))
	}
	if len(s.SettingsNotRead) > 0 {
		add("not_read", locale.Clean(strings.Join(s.SettingsNotRead, ", ")))
	}
	return fields
}

// queueMemory is what the queues take, and what came of it.
func (p *program) queueMemory(q control.QueueMemory) string {
	words := p.words(nil)
	text := p.text.T("admin.queue_memory", "bytes", words.Bytes(uint64(q.Bytes)), "max", words.Bytes(uint64(q.MaxBytes)))
	if q.Dropped+q.Forgotten > 0 {
		text += "  " + p.text.T("admin.queue_memory_dropped", "dropped", q.Dropped, "forgotten", q.Forgotten)
	}
	return text
}

// handover describes the last hand-over of the sessions in a line.
func (p *program) handover(h *control.Handover) string {
	way := locale.Clean(h.Way)
	switch h.Way {
	case control.WayRestart:
		way = p.text.T("admin.handover_restart")
	case control.WayUpgrade:
		way = p.text.T("admin.handover_upgrade")
	}
	id := "admin.handed_over"
	if !h.Done {
		id = "admin.not_handed_over"
	}
	line := p.text.T(id, "time", formatTime(h.At), "way", way, "from", locale.Clean(h.FromVersion),
		"to", locale.Clean(h.ToVersion), "sessions", count(p, h.Sessions), "lost", count(p, h.Lost),
		"took", p.words(nil).Seconds(h.Seconds))
	if h.Revoked > 0 {
		line += p.text.T("admin.handover_revoked", "revoked", h.Revoked)
	}
	if h.Why != "" {
		line += ": " + locale.Clean(h.Why)
	}
	return line
}

// expiry is when a certificate ends, and how soon that is if it is soon.
func (p *program) expiry(at, now time.Time) string {
	const soon = 30 * 24 * time.Hour
	text := formatTime(at)
	switch left := at.Sub(now); {
	case left <= 0:
		text += "  " + p.text.T("admin.tls_expired")
	case left < soon:
		text += "  " + p.text.T("admin.tls_soon", "N", int(left.Hours()/24))
	}
	return text
}

// total writes the sum of counts, and what it consists of.
func (p *program) total(counts map[string]uint64) string {
	sum := uint64(0)
	var parts []string
	for _, word := range positive(counts) {
		sum += counts[word]
		parts = append(parts, word+" "+count(p, counts[word]))
	}
	if len(parts) == 0 {
		return "0"
	}
	return count(p, sum) + "  (" + strings.Join(parts, ", ") + ")"
}

// positive returns the words whose count is not 0, in their order.
func positive(counts map[string]uint64) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(counts)), func(word string) bool { return counts[word] == 0 })
}

func (p *program) printAppStatus(apps []control.AppStatus) {
	rows, rate := [][]string{}, p.words(nil).Rate
	for _, a := range apps {
		rows = append(rows, []string{
			p.shortTitle(a.Title),
			count(p, a.Sessions),
			count(p, a.SessionsOnOldKey),
			count(p, a.Messages),
			rate(a.Rates.Messages),
			count(p, a.Delivered),
			rate(a.Rates.Delivered),
			count(p, a.NoRecipient),
			count(p, a.DroppedAsSlow),
			count(p, a.Refused),
			count(p, a.RequestsRefused),
		})
	}
	p.printTable([]column{
		{title: p.text.T("admin.column_app")},
		{title: p.text.T("admin.column_sessions"), number: true},
		{title: p.text.T("admin.column_old_key"), number: true},
		{title: p.text.T("admin.column_messages"), number: true},
		{title: p.text.T("admin.column_rate"), number: true, spare: true},
		{title: p.text.T("admin.column_delivered"), number: true},
		{title: p.text.T("admin.column_rate"), number: true, spare: true},
		{title: p.text.T("admin.column_no_recipient"), number: true},
		{title: p.text.T("admin.column_slow"), number: true, spare: true},
		{title: p.text.T("admin.column_refused"), number: true},
		{title: p.text.T("admin.column_http_refused"), number: true, spare: true},
	}, rows)
}
