package config_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pns4ones/pns4ones/config"
	"github.com/pns4ones/pns4ones/config/locale"
)

// TestDescriptionsAreTrue loads what they say: the defaults, which change
// nothing, every choice, and both limits.
func TestDescriptionsAreTrue(t *testing.T) {
	t.Parallel()
	p := paths(t)
	byDefault, err := config.Load(config.LoadOptions{Getenv: noEnv, Paths: p})
	if err != nil {
		t.Fatal(err)
	}
	described := config.DescribeSettings(locale.New(locale.English), p)
	if len(described) == 0 {
		t.Fatal("no setting is described")
	}
	content := ""
	for _, d := range described {
		content += d.Name + " = " + d.Default + "\n"
		values := []string{}
		for _, choice := range d.Choices {
			values = append(values, choice.Name)
		}
		if d.Least != "" {
			values = append(values, d.Least, d.Most)
		}
		for _, value := range values {
			// With HTTPS certificates would be needed.
			args := []string{"-" + d.Name, value, "-ssl_certificate=x", "-ssl_certificate_key=x",
				"-ssl_certificate_password=x"}
			if _, err := config.Load(config.LoadOptions{Args: args, Getenv: noEnv, Paths: p}); err != nil {
				t.Errorf("%s=%s: %v", d.Name, value, err)
			}
		}
		if len(values) == 0 {
			continue
		}
		environment := func(name string) string {
			if name == d.Variable {
				return "\x00"
			}
			return ""
		}
		if _, err := config.Load(config.LoadOptions{Getenv: environment, Paths: p}); err == nil {
			t.Errorf("%s is no variable of %s", d.Variable, d.Name)
		}
	}
	got, err := load(t, "pns4ones.toml", content)
	if err != nil {
		t.Fatalf("%v in\n%s", err, content)
	}
	if diff := cmp.Diff(byDefault.Config, got.Config,
		cmp.Comparer(func(a, b config.Address) bool { return a == b })); diff != "" {
		t.Errorf("the described defaults are others (-want +got):\n%s", diff)
	}
}

func TestDescribesHowAReloadGoes(t *testing.T) {
	t.Parallel()
	reload := map[string]string{}
	for _, d := range config.DescribeSettings(locale.New(locale.English), config.ServicePaths()) {
		reload[d.Name] = d.Reload
	}
	for name, want := range map[string]string{
		"log_level":       "yes",
		"data_dir":        "no, after a restart",
		"listen":          "the network yes, the rest after a restart",
		"ssl_mode":        "yes, except from HTTP to HTTPS or back",
		"trusted_proxies": "yes",
	} {
		if reload[name] != want {
			t.Errorf("%s: %s, want: %s", name, reload[name], want)
		}
	}
}

func TestDescribesTheOtherFlags(t *testing.T) {
	t.Parallel()
	for _, d := range config.DescribeOtherFlags(locale.New(locale.English)) {
		args := []string{"-" + d.Name}
		switch d.Name {
		case "config":
			continue // it needs a file
		case "lang":
			args = append(args, "ru")
		}
		if _, err := config.Load(config.LoadOptions{Args: args, Getenv: noEnv, Paths: paths(t)}); err != nil {
			t.Errorf("%q: %v", args, err)
		}
	}
}
