package message

// PeekID reads only the ID of a stored form, without allocating. producer points into data. ok is false if data is no stored form.
func PeekID(data []byte) (producer []byte, sequence int64, ok bool) {
	if len(data) < 5 || data[0] != formatVersion {
		return nil, 0, false
	}
	r := reader{rest: data[5:]}
	producer = r.bytes(r.uvarint())
	sequence = r.varint()
	return producer, sequence, !r.failed
}

// PeekPersistent says whether a stored form is of a persistent message.
func PeekPersistent(data []byte) bool {
	return len(data) >= 5 && data[0] == formatVersion && data[1]&flagPersistent != 0
}
