package message

// DeadLetter gives the copy of m that goes to a dead-letter queue: same ID and body, the origin kept in Original, the cause and the
// expiry as properties, persistent and without expiry. ActiveMQ's names of the properties.
func (m *Message) DeadLetter(queue Destination, cause string) *Message {
	d := *m
	d.encoded = nil
	d.Original, d.Destination = m.Destination, queue
	if cause != "" {
		d.Properties = d.Properties.With("dlqDeliveryFailureCause", "java.lang.Throwable: "+cause)
	}
	if m.Expiration != 0 {
		if _, known := d.Properties.Get("originalExpiration"); !known {
			d.Properties = d.Properties.With("originalExpiration", m.Expiration)
		}
		d.Expiration = 0
	}
	if !m.Persistent {
		d.Properties = d.Properties.With("originalDeliveryMode", "NON_PERSISTENT")
		d.Persistent = true
	}
	return &d
}
