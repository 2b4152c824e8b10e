package main

import (
	"context"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/tui/say"
)

// history prints what a time up to now was like, of all apps or of one.
func (p *program) history(ctx context.Context, client *control.Client, ref string, span time.Duration) error {
	id := ""
	if ref != "" {
		a, err := find(ctx, client, ref)
		if err != nil {
			return err
		}
		id = a.ID
	}
	h, err := client.History(ctx, id, span)
	if err != nil {
		return err
	}
	if p.json {
		return p.printJSON(h)
	}
	p.heading()
	if !h.Kept {
		p.say("admin.history_not_kept")
		return nil
	}
	rows := [][]string{}
	for _, point := range h.Points {
		rate := func(n uint64) string { return p.words(nil).Rate(float64(n) / float64(max(point.Seconds, 1))) }
		slowest := ""
		if point.P99 != nil {
			slowest = p.words(nil).Seconds(*point.P99)
		}
		rows = append(rows, []string{
			say.Time(point.Time), count(p, point.Sessions), rate(point.Messages), rate(point.Delivered),
			count(p, point.NoRecipient), count(p, point.Refused), count(p, point.RequestsRefused), slowest,
		})
	}
	p.printTable([]column{
		{title: p.text.T("admin.column_from"), whole: true},
		{title: p.text.T("admin.column_sessions"), number: true},
		{title: p.text.T("admin.column_messages_rate"), number: true},
		{title: p.text.T("admin.column_delivered_rate"), number: true},
		{title: p.text.T("admin.column_no_recipient"), number: true},
		{title: p.text.T("admin.column_refused"), number: true},
		{title: p.text.T("admin.column_http_refused"), number: true},
		{title: p.text.T("admin.column_p99"), number: true},
	}, rows)
	return nil
}
