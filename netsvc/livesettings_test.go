package netsvc

import (
	"slices"
	"testing"

	"github.com/pns4ones/pns4ones/config"
	"github.com/pns4ones/pns4ones/config/locale"
)

func TestEverySettingThatCanChangeLiveIsApplied(t *testing.T) {
	t.Parallel()
	text := locale.New(locale.English)
	var want, got []string
	for _, setting := range config.DescribeSettings(text, config.Paths{}) {
		if setting.Reload != text.T("config.reload_never") {
			want = append(want, setting.Name)
		}
	}
	for _, setting := range liveSettings {
		got = append(got, setting.name)
	}
	if len(want) == 0 || !slices.Equal(got, want) {
		t.Errorf("a reload applies %v, package config lets it apply %v", got, want)
	}
}
