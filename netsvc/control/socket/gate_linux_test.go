package socket

import "testing"

func TestTheGateAdmitsRootOwnerAndGroup(t *testing.T) {
	t.Parallel()
	database := map[int][]int{
		1001: {100, 500}, // in the socket's group by the user database
		1002: {100, 501},
	}
	g := gate{ownUID: 90, socketGID: 500, groupsOf: func(uid int) []int { return database[uid] }}
	for name, test := range map[string]struct {
		who  credentials
		want bool
	}{
		"root":                               {credentials{uid: 0, gid: 0}, true},
		"root in another group":              {credentials{uid: 0, gid: 7}, true},
		"the daemon's own user":              {credentials{uid: 90, gid: 100}, true},
		"primary group":                      {credentials{uid: 1003, gid: 500}, true},
		"supplementary group of the process": {credentials{uid: 1003, gid: 100, groups: []int{4, 500}}, true},
		"group by the user database":         {credentials{uid: 1001, gid: 100}, true},
		"another group":                      {credentials{uid: 1002, gid: 100, groups: []int{501, 4}}, false},
		"a user with no groups":              {credentials{uid: 1003, gid: 100}, false},
		"a uid that equals the group":        {credentials{uid: 500, gid: 100}, false},
		"a gid that equals the owner":        {credentials{uid: 1003, gid: 90}, false},
		"group root":                         {credentials{uid: 1003, gid: 0}, false},
		"the overflow user":                  {credentials{uid: 65534, gid: 65534}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := g.admits(test.who); got != test.want {
				t.Errorf("admits %+v: %v, want %v", test.who, got, test.want)
			}
		})
	}
}
