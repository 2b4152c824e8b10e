// Package monitoring_test checks that alerts, dashboard and template ask for metrics that
// the daemon has: a daemon runs here, and what it answers to a scrape is taken apart as
// Zabbix does it. What needs Prometheus itself is in packaging/test/monitoring.sh.
package monitoring_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/config"
	"github.com/pns4ones/pns4ones/netsvc"
	"github.com/pns4ones/pns4ones/netsvc/certificate/certificatetest"
	"github.com/pns4ones/pns4ones/netsvc/control"
)

// TestOnlyMetricsThatThereAreAreAskedFor: a name with a slip is an alert that never comes.
func TestOnlyMetricsThatThereAreAreAskedFor(t *testing.T) {
	t.Parallel()
	d := start(t)
	d.refuse()
	samples := d.scrape("/metrics")
	there := make(map[string]bool)
	for _, s := range samples {
		there[s.name] = true
	}
	asked := regexp.MustCompile(`\b(?:pns4ones|process)_[a-z_]+\b`)
	for _, file := range []string{"alerts.yml", "grafana.json", "grafana.ru.json", "zabbix.json", "zabbix.ru.json"} {
		names := asked.FindAllString(read(t, file), -1)
		if len(names) < 10 {
			t.Errorf("%s: only %d names were found", file, len(names))
		}
		for _, name := range names {
			// Those of a hand-over appear with the first one.
			if !there[name] && !strings.HasPrefix(name, "pns4ones_last_handover_") {
				t.Errorf("%s asks for %s, which there is not", file, name)
			}
		}
	}
}

// TestRussianTwinsDifferInTextsAlone: what is asked for, and when it is alarming, is in
// both languages the same; and a text that refers to another one, as an override of a
// column does, goes on to refer to it.
func TestRussianTwinsDifferInTextsAlone(t *testing.T) {
	t.Parallel()
	russian := regexp.MustCompile(`[А-Яа-яЁё]`)
	for _, name := range []string{"grafana", "zabbix"} {
		english := make(map[string]string)
		var same func(path string, en, ru any)
		same = func(path string, en, ru any) {
			switch ru := ru.(type) {
			case map[string]any:
				en, _ := en.(map[string]any)
				if len(en) != len(ru) {
					t.Errorf("%s: %s has other fields", name, path)
				}
				for key := range ru {
					same(path+"/"+key, en[key], ru[key])
				}
			case []any:
				en, _ := en.([]any)
				if len(en) != len(ru) {
					t.Errorf("%s: %s has %d elements, and %d in Russian", name, path, len(en), len(ru))
					return
				}
				for i := range ru {
					same(fmt.Sprintf("%s/%d", path, i), en[i], ru[i])
				}
			case string:
				en, _ := en.(string)
				switch before, met := english[ru]; {
				case russian.MatchString(en):
					t.Errorf("%s: %s is Russian in English: %q", name, path, en)
				case !russian.MatchString(ru) && en != ru:
					t.Errorf("%s: %s is %q, and %q in Russian", name, path, en, ru)
				case met && en != before:
					t.Errorf("%s: %s: %q is %q and %q", name, path, ru, before, en)
				}
				english[ru] = en
			default:
				if en != ru {
					t.Errorf("%s: %s is %v, and %v in Russian", name, path, en, ru)
				}
			}
		}
		var en, ru any
		for file, content := range map[string]*any{name + ".json": &en, name + ".ru.json": &ru} {
			if err := json.Unmarshal([]byte(read(t, file)), content); err != nil {
				t.Fatalf("%s: %v", file, err)
			}
		}
		same("", en, ru)
		if len(english) < 50 {
			t.Errorf("%s: %d texts were compared", name, len(english))
		}
	}
}

// template is what of the Zabbix template is looked at here.
type template struct {
	Export struct {
		Templates []struct {
			Items     []item `json:"items"`
			Discovery []struct {
				item
				Macros []struct {
					Macro string `json:"lld_macro"`
					Path  string `json:"path"`
				} `json:"lld_macro_paths"`
				Prototypes []item `json:"item_prototypes"`
			} `json:"discovery_rules"`
		} `json:"templates"`
	} `json:"zabbix_export"`
}

type item struct {
	UUID          string `json:"uuid"`
	Name          string `json:"name"`
	Type          string `json:"type"`
	Key           string `json:"key"`
	URL           string `json:"url"`
	Value         string `json:"value_type"` // empty: an unsigned number
	Preprocessing []step `json:"preprocessing"`
}

type step struct {
	Type       string   `json:"type"`
	Parameters []string `json:"parameters"`
	OnError    string   `json:"error_handler"`
	Instead    string   `json:"error_handler_params"`
}

// TestEachZabbixItemGetsAValue runs the preprocessing of all items on two scrapes.
func TestEachZabbixItemGetsAValue(t *testing.T) {
	t.Parallel()
	d := start(t)
	first := d.scrape("/metrics")
	d.refuse()
	second := d.scrape("/metrics")
	var export template
	if err := json.Unmarshal([]byte(read(t, "zabbix.json")), &export); err != nil {
		t.Fatal(err)
	}
	one := export.Export.Templates[0]
	items := one.Items
	for _, rule := range one.Discovery {
		found := discover(t, rule.item, second)
		if len(found) != 2 {
			t.Errorf("%d apps are discovered, want 2", len(found))
		}
		for _, labels := range found {
			replace := []string{}
			for _, m := range rule.Macros {
				replace = append(replace, m.Macro, labels[strings.TrimPrefix(m.Path, "$.labels.")])
			}
			for _, prototype := range rule.Prototypes {
				items = append(items, prototype.with(strings.NewReplacer(replace...)))
			}
		}
	}
	keys := make(map[string]bool)
	for _, i := range items {
		if keys[i.Key] {
			t.Errorf("two items have the key %s", i.Key)
		}
		keys[i.Key] = true
		if i.Type != "DEPENDENT" {
			d.wantAnswer(i)
			continue
		}
		for _, scrapes := range [][2][]sample{{first, first}, {first, second}} {
			value, err := i.process(scrapes[0], scrapes[1])
			switch {
			case err != nil:
				t.Errorf("%s: %v", i.Key, err)
			case i.Value == "": // Zabbix takes 2e+07 for no unsigned number
				if _, err := strconv.ParseUint(value, 10, 64); err != nil {
					t.Errorf("%s is %q, which is no unsigned number", i.Key, value)
				}
			case i.Value == "FLOAT":
				if n, err := strconv.ParseFloat(value, 64); err != nil || n < 0 {
					t.Errorf("%s is %q, which is no number", i.Key, value)
				}
			case value == "":
				t.Errorf("%s is empty", i.Key)
			}
		}
	}
	if len(items) < 30 {
		t.Errorf("only %d items were looked at", len(items))
	}
}

// with puts the values of macros in place.
func (i item) with(macros *strings.Replacer) item {
	i.Name, i.Key = macros.Replace(i.Name), macros.Replace(i.Key)
	steps := append([]step(nil), i.Preprocessing...)
	for n := range steps {
		steps[n].Parameters = append([]string(nil), steps[n].Parameters...)
		for p := range steps[n].Parameters {
			steps[n].Parameters[p] = macros.Replace(steps[n].Parameters[p])
		}
	}
	i.Preprocessing = steps
	return i
}

// process does what Zabbix would with two scrapes a minute apart.
func (i item) process(before, now []sample) (string, error) {
	var value, earlier string
	for _, s := range i.Preprocessing {
		switch s.Type {
		case "PROMETHEUS_PATTERN":
			var err error
			if earlier, err = pattern(before, s.Parameters); err == nil || s.OnError != "" {
				value, err = pattern(now, s.Parameters)
			}
			switch {
			case err != nil && s.OnError == "CUSTOM_VALUE":
				value = s.Instead
			case err != nil && s.OnError == "DISCARD_VALUE":
				return "0", nil // nothing is stored, and nothing complained of
			case err != nil:
				return "", err
			}
			if earlier == "" {
				earlier = s.Instead
			}
		case "CHANGE_PER_SECOND", "SIMPLE_CHANGE", "MULTIPLIER":
			n, err := strconv.ParseFloat(value, 64)
			m, errBefore := strconv.ParseFloat(earlier, 64)
			if err != nil || errBefore != nil {
				return "", fmt.Errorf("%q or %q is no number", value, earlier)
			}
			switch s.Type {
			case "CHANGE_PER_SECOND":
				n = (n - m) / 60
			case "SIMPLE_CHANGE":
				n -= m
			default:
				factor, err := strconv.ParseFloat(s.Parameters[0], 64)
				if err != nil {
					return "", err
				}
				n *= factor
			}
			value = strconv.FormatFloat(n, 'f', -1, 64)
		case "DISCARD_UNCHANGED_HEARTBEAT":
		default:
			return "", fmt.Errorf("the step %s is not known here", s.Type)
		}
	}
	return value, nil
}

var (
	selector = regexp.MustCompile(`^([a-z0-9_]+)(?:\{(.*)\})?$`)
	matcher  = regexp.MustCompile(`([a-z_]+)(=~|=)"([^"]*)"`)
)

// selected are the samples that a pattern means.
func selected(samples []sample, pattern string) ([]sample, error) {
	parts := selector.FindStringSubmatch(pattern)
	if parts == nil {
		return nil, fmt.Errorf("%s is no pattern", pattern)
	}
	var found []sample
	for _, s := range samples {
		fits := s.name == parts[1]
		for _, m := range matcher.FindAllStringSubmatch(parts[2], -1) {
			if m[2] == "=" {
				fits = fits && s.labels[m[1]] == m[3]
			} else {
				fits = fits && regexp.MustCompile("^(?:"+m[3]+")$").MatchString(s.labels[m[1]])
			}
		}
		if fits {
			found = append(found, s)
		}
	}
	return found, nil
}

// pattern is the step PROMETHEUS_PATTERN: pattern, what of it, and which.
func pattern(samples []sample, parameters []string) (string, error) {
	found, err := selected(samples, parameters[0])
	if err != nil {
		return "", err
	}
	if len(found) == 0 {
		return "", fmt.Errorf("nothing matches %s", parameters[0])
	}
	if parameters[1] == "function" && parameters[2] == "sum" {
		sum := 0.0
		for _, s := range found {
			sum += s.value
		}
		return strconv.FormatFloat(sum, 'f', -1, 64), nil
	}
	if len(found) > 1 {
		return "", fmt.Errorf("%d samples match %s", len(found), parameters[0])
	}
	switch parameters[1] {
	case "value":
		return found[0].text, nil
	case "label":
		return found[0].labels[parameters[2]], nil
	}
	return "", fmt.Errorf("%v is not known here", parameters[1:])
}

// discover is the step PROMETHEUS_TO_JSON of a discovery rule: the labels of what it finds.
func discover(t *testing.T, rule item, samples []sample) (labels []map[string]string) {
	t.Helper()
	if rule.Preprocessing[0].Type != "PROMETHEUS_TO_JSON" {
		t.Fatalf("the discovery begins with %s", rule.Preprocessing[0].Type)
	}
	found, err := selected(samples, rule.Preprocessing[0].Parameters[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range found {
		labels = append(labels, s.labels)
	}
	return labels
}

// daemon is one with a certificate, two apps, and something to measure.
type daemon struct {
	*netsvc.Server
	t *testing.T
}

func start(t *testing.T) daemon {
	t.Helper()
	folder := t.TempDir()
	c := config.Default(config.Paths{Data: filepath.Join(folder, "data"),
		Control: filepath.Join(folder, "control.sock")})
	c.Listen, c.Service = config.Address{Host: "127.0.0.1"}, config.Address{Host: "127.0.0.1"}
	c.MetricsListen = &config.Address{Host: "127.0.0.1"}
	pair := certificatetest.NewAuthority(t).WritePair(t, folder, "leaf", time.Now().Add(90*24*time.Hour))
	c.SSLMode, c.SSLCertificate, c.SSLCertificateKey = pair.Mode, pair.Certificate, pair.Key
	server, err := netsvc.Open(context.Background(), netsvc.Options{Config: c, Version: "1.2.3"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	client := control.NewClient(c.Control)
	defer client.Close()
	for _, title := range []string{"Склад", `Касса "2"`} {
		if _, err := client.CreateApp(ctx, title); err != nil {
			t.Fatal(err)
		}
	}
	return daemon{server, t}
}

// refuse makes a request that is refused, and so has a metric of its own.
func (d daemon) refuse() {
	d.t.Helper()
	response, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/auth", d.SendersPort())) // it speaks HTTPS
	if err != nil {
		d.t.Fatal(err)
	}
	response.Body.Close()
}

func (d daemon) get(path string) string {
	d.t.Helper()
	response, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d%s", d.MetricsPort(), path))
	if err != nil {
		d.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		d.t.Fatalf("%s: %s %v", path, response.Status, err)
	}
	return string(body)
}

// wantAnswer checks an item that asks the daemon itself.
func (d daemon) wantAnswer(i item) {
	d.t.Helper()
	path, ok := strings.CutPrefix(i.URL, "{$PNS4ONES.URL}")
	if !ok {
		d.t.Errorf("%s asks %s", i.Key, i.URL)
		return
	}
	body := d.get(path)
	for _, s := range i.Preprocessing {
		if s.Type != "JSONPATH" { // the other one is for a daemon that does not answer
			continue
		}
		var object map[string]any
		if err := json.Unmarshal([]byte(body), &object); err != nil ||
			object[strings.TrimPrefix(s.Parameters[0], "$.")] != "ok" {
			d.t.Errorf("%s: %s of %s (%v) is not ok", i.Key, s.Parameters[0], body, err)
		}
	}
}

// sample is a line of a scrape.
type sample struct {
	name   string
	labels map[string]string
	value  float64
	text   string // the value as it stands there
}

var (
	line  = regexp.MustCompile(`^([a-z0-9_]+)(?:\{(.*)\})? (\S+)$`)
	label = regexp.MustCompile(`([a-z_]+)="((?:[^"\\]|\\.)*)"`)
)

func (d daemon) scrape(path string) (samples []sample) {
	d.t.Helper()
	for text := range strings.Lines(d.get(path)) {
		if text = strings.TrimSpace(text); text == "" || text[0] == '#' {
			continue
		}
		parts := line.FindStringSubmatch(text)
		if parts == nil {
			d.t.Fatalf("a line of another form: %s", text)
		}
		value, err := strconv.ParseFloat(parts[3], 64)
		if err != nil {
			d.t.Fatal(err)
		}
		s := sample{name: parts[1], labels: make(map[string]string), value: value, text: parts[3]}
		for _, l := range label.FindAllStringSubmatch(parts[2], -1) {
			s.labels[l[1]] = strings.NewReplacer(`\\`, `\`, `\"`, `"`).Replace(l[2])
		}
		samples = append(samples, s)
	}
	return samples
}

func read(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
