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

// PeekGroup reads only the GroupID of a stored form, "" if it has none; without allocating unless there is one.
func PeekGroup(data []byte) string {
	if len(data) < 5 || data[0] != formatVersion || data[1]&flagGroup == 0 {
		return ""
	}
	flags := data[1]
	r := reader{rest: data[5:]}
	skip := func() { r.bytes(r.uvarint()) }
	skipDestination := func() { r.bytes(1); skip() }
	skip()
	r.varint()
	skipDestination()
	r.varint()
	r.varint()
	r.varint()
	skip()
	if flags&flagOriginal != 0 {
		skipDestination()
	}
	if flags&flagReply != 0 {
		skipDestination()
	}
	if flags&flagJMSType != 0 {
		skip()
	}
	return r.string()
}
