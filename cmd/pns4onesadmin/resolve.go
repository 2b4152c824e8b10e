package main

import (
	"context"
	"slices"
	"strings"

	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc/control"
)

// A person may call infobases and users by their names. What is no name of one is taken
// for an id: a message may be for somebody whom the daemon has not met yet.

// infobaseID is the id of the infobase that ref means.
func (p *program) infobaseID(ctx context.Context, client *control.Client, appID, ref string) (string, error) {
	found, err := client.Infobases(ctx, appID)
	if err != nil {
		return "", err
	}
	var ids []string
	for _, ib := range found {
		if ib.ID == ref {
			return ref, nil
		}
		if strings.EqualFold(ib.Name, ref) && !slices.Contains(ids, ib.ID) {
			ids = append(ids, ib.ID)
		}
	}
	return p.meantBy(ref, ids, "admin.several_infobases")
}

// userID is the id of the user of an infobase that ref means.
func (p *program) userID(ctx context.Context, client *control.Client, appID, ibID, ref string) (string, error) {
	found, err := client.People(ctx, appID, ref, 0)
	if err != nil {
		return "", err
	}
	var here, anywhere []string
	for _, one := range found.People {
		if one.UserID == ref {
			return ref, nil
		}
		if !strings.EqualFold(one.UserName, ref) {
			continue
		}
		if one.IbID == ibID && !slices.Contains(here, one.UserID) {
			here = append(here, one.UserID)
		}
		if !slices.Contains(anywhere, one.UserID) {
			anywhere = append(anywhere, one.UserID)
		}
	}
	if len(here) > 0 {
		anywhere = here
	}
	return p.meantBy(ref, anywhere, "admin.several_users")
}

// meantBy chooses the id that a name means.
func (p *program) meantBy(ref string, ids []string, several string) (string, error) {
	switch len(ids) {
	case 0:
		return ref, nil
	case 1:
		p.say("admin.taken_for", "name", locale.Clean(ref), "id", locale.Clean(ids[0]))
		return ids[0], nil
	}
	shown := make([]string, len(ids))
	for i, id := range ids {
		shown[i] = locale.Clean(id)
	}
	return "", failure(several, "name", locale.Clean(ref), "ids", lines(shown))
}
