package bucket

import (
	"errors"
	"fmt"
	"strings"
)

// ErrUnavailable: a change could not be agreed on; errors.As finds a *ProblemError that
// says why.
var ErrUnavailable = errors.New("the cluster does not take the change")

// Code is a kind of problem; a stable slug, for translation and scripts.
type Code string

// Why a node cannot change apps together with the others.
const (
	NotConnected Code = "not_connected" // there is no connection to NATS
	Ended        Code = "ended"         // this node leaves the cluster: it stops, or another process takes over
	NoAnswer     Code = "no_answer"     // JetStream does not answer
	NoRight      Code = "no_right"      // the NATS user may not use Subject
	NoJetStream  Code = "no_jetstream"  // NATS runs without JetStream, or the account has none
	Refused      Code = "refused"       // JetStream says no, with a reason
	OtherKey     Code = "other_key"     // the bucket is sealed with Key, which this node does not have
	Unreadable   Code = "unreadable"    // what the bucket says of itself cannot be read, though its key is known
	Seeding      Code = "seeding"       // Node is still putting its apps into the bucket
	BucketGone   Code = "bucket_gone"   // the bucket of this node's cluster is gone
	OtherCluster Code = "other_cluster" // the bucket is of another cluster
	OwnApps      Code = "own_apps"      // Apps are not in the bucket, or others
	ChangedAlone Code = "changed_alone" // Apps were changed while the node was a single one
	NotStored    Code = "not_stored"    // the database of this node does not take what the others have
	Later        Code = "later"         // Apps were changed by a later version of the program, which this one cannot read
)

// ProblemError says what keeps a node from the others, and the way out.
type ProblemError struct {
	Code    Code
	Subject string   // the one that is not permitted
	Node    string   // that seeds
	Key     string   // the id of the key that is needed
	Apps    []string // ids
	Err     error    // the cause, if there is one
}

// Error says in English what is the matter and what to do.
func (p *ProblemError) Error() string {
	text := p.advice()
	if len(p.Apps) > 0 {
		text += ": " + list(p.Apps)
	}
	if p.Err != nil {
		text += ": " + p.Err.Error()
	}
	return text
}

func (p *ProblemError) advice() string {
	switch p.Code {
	case NotConnected:
		return "there is no connection to NATS"
	case Ended:
		return "this node is leaving the cluster: try again when it is back"
	case NoAnswer:
		return "JetStream does not answer: look whether it is switched on, and enough of its servers are there"
	case NoRight:
		return fmt.Sprintf("the NATS user has no right to use %q: give it in the configuration of NATS", p.Subject)
	case NoJetStream:
		return "NATS has no JetStream for this account: switch it on in the configuration of NATS"
	case Refused:
		return "JetStream refuses"
	case OtherKey:
		return fmt.Sprintf("the bucket is sealed with another cluster key, %s: the key file must be the same on all nodes; "+
			"if nobody has that key any more, «pns4onesadmin cluster restore», on the node with the newest apps, "+
			"seals them with its own", p.Key)
	case Unreadable:
		return "somebody has damaged what the bucket says of itself: «pns4onesadmin cluster restore», " +
			"on the node with the newest apps, makes it anew"
	case Seeding:
		return fmt.Sprintf("node %s is putting its apps into the bucket: if it is not running, start it; if it is gone "+
			"for good, «pns4onesadmin cluster restore» on a node that was in the cluster goes on in its place, "+
			"or, if there is none, «pns4onesadmin cluster join --merge» on this one", p.Node)
	case BucketGone:
		return "the bucket with the cluster's apps is gone: «pns4onesadmin cluster restore», " +
			"on the node with the newest apps, makes it anew"
	case OtherCluster:
		return "the bucket is of another cluster: «pns4onesadmin cluster restore» makes it anew from the apps here, " +
			"«pns4onesadmin cluster join --take» replaces the apps here"
	case OwnApps:
		return "there are apps here that the cluster has not, or has differently: «pns4onesadmin cluster join --merge» " +
			"adds them to the cluster, «pns4onesadmin cluster join --take» replaces them by the cluster's"
	case ChangedAlone:
		return "apps were changed while this node was alone: «pns4onesadmin cluster join --take» takes the cluster's, " +
			"«pns4onesadmin cluster restore» gives all nodes these apps as they are here"
	case NotStored:
		return "the database of this node did not take what the other nodes have"
	case Later:
		return "a node with a later version of the program has changed apps in a way that this one does not know, " +
			"here they are as they were before: upgrade this node"
	}
	return string(p.Code)
}

// Unwrap lets errors.Is find ErrUnavailable and the cause.
func (p *ProblemError) Unwrap() []error {
	if p.Err == nil {
		return []error{ErrUnavailable}
	}
	return []error{ErrUnavailable, p.Err}
}

// list names a few of many.
func list(ids []string) string {
	const most = 10
	if len(ids) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(ids[:most], ", "), len(ids)-most)
	}
	return strings.Join(ids, ", ")
}

// MergeError lists the apps that keep a node from merging its own with the cluster's: the
// cluster has another app with the same id, or one with the same server key.
type MergeError struct{ Apps []string }

func (e *MergeError) Error() string {
	return "the cluster has other apps with the same id or the same server key, remove them here or there: " +
		list(e.Apps)
}

// ErrNeverMember: this database never was in a cluster, so there is nothing to restore.
var ErrNeverMember = errors.New("this node never was in a cluster: there is nothing to restore")

// ErrNotNeeded: the node is in the cluster, there is nothing to join.
var ErrNotNeeded = errors.New("this node is in the cluster already")
