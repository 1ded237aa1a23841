package listen

import "bytes"

// maxDetect is how many bytes are looked at before a connection's protocol counts as unknown.
const maxDetect = 64

// answer is what one protocol says of a connection's first bytes.
type answer uint8

const (
	no answer = iota
	maybe
	yes
)

// Detect says with which protocol a connection begins; decided is false while more bytes are needed. A decided empty
// protocol is an unknown one. It never needs more than 64 bytes.
func Detect(first []byte) (p Protocol, decided bool) {
	undecided := false
	for _, candidate := range [...]struct {
		protocol Protocol
		is       func([]byte) answer
	}{{OpenWire, isOpenWire}, {STOMP, isSTOMP}, {AMQP, isAMQP}, {MQTT, isMQTT}, {HTTP, isHTTP}} {
		switch candidate.is(first) {
		case yes:
			return candidate.protocol, true
		case maybe:
			undecided = true
		}
	}
	return "", !undecided || len(first) >= maxDetect
}

// begins compares with what must stand at the begin.
func begins(b []byte, with string) answer {
	n := min(len(b), len(with))
	switch {
	case string(b[:n]) != with[:n]:
		return no
	case n < len(with):
		return maybe
	}
	return yes
}

// isOpenWire looks for WireFormatInfo: four bytes of size, which is below 64 KiB, type 1, magic.
func isOpenWire(b []byte) answer {
	if a := begins(b, "\x00\x00"); a != yes {
		return a
	}
	if len(b) < 4 {
		return maybe
	}
	return begins(b[4:], "\x01ActiveMQ")
}

// isSTOMP looks for the CONNECT or STOMP command. Line ends before it are heart-beats too many, which clients send.
func isSTOMP(b []byte) answer {
	b = bytes.TrimLeft(b, "\r\n")
	best := no
	for _, command := range [...]string{"CONNECT\n", "CONNECT\r\n", "STOMP\n", "STOMP\r\n"} {
		best = max(best, begins(b, command))
	}
	return best
}

// isAMQP looks for the protocol header, of AMQP itself or of SASL or TLS before it.
func isAMQP(b []byte) answer { return begins(b, "AMQP") }

// isMQTT looks for a CONNECT packet: type, one to four bytes of length, protocol name.
func isMQTT(b []byte) answer {
	if a := begins(b, "\x10"); a != yes {
		return a
	}
	b = b[1:]
	for n := 0; ; n++ {
		if n == 4 {
			return no // MQTT-2.2.3: no length has a fifth byte
		}
		if n == len(b) {
			return maybe
		}
		if b[n]&0x80 == 0 {
			b = b[n+1:]
			break
		}
	}
	return max(begins(b, "\x00\x04MQTT"), begins(b, "\x00\x06MQIsdp"))
}

func isHTTP(b []byte) answer {
	best := no
	for _, method := range [...]string{"GET /", "POST /", "PUT /", "HEAD /", "DELETE /", "PATCH /", "OPTIONS /", "OPTIONS *"} {
		best = max(best, begins(b, method))
	}
	return best
}
