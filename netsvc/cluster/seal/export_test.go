package seal

// SealRecordWith is SealRecord with an epoch that is not random.
func (k *Keys) SealRecordWith(cluster, name string, body []byte, epoch Epoch) []byte {
	return k.all[0].sealRecord(cluster, name, body, epoch)
}

// StartAt lets the next envelope of a kind have the number after last.
func (s *Sealer) StartAt(kind Kind, last uint64) { s.numbers[kind-'a'].Store(last) }

// Only returns the keys without all but one.
func (k *Keys) Only(id KeyID) *Keys { return &Keys{[]clusterKey{*k.find(id)}} }
