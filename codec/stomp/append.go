package stomp

import (
	"bytes"
	"strconv"
)

// HeartBeat is what a peer with nothing to say sends to show that it lives (STOMP 1.2, Heart-beating).
const HeartBeat = "\n"

// AppendFrame appends the whole frame, NUL and the LF after it included. A body with a NUL in it gets a content-length
// if the frame has none and its command may have one; a content-length that is there is not checked. The frames of the
// handshake are written unescaped, whatever the version.
//
// A transport that frames messages itself (WebSocket) leaves out the last byte, the LF.
func AppendFrame(dst []byte, version Version, frame Frame) []byte {
	if isConnect(frame.Command) {
		version = V10
	}
	dst = AppendCommand(dst, frame.Command)
	for i := range frame.Headers {
		dst = AppendHeader(dst, version, frame.Headers[i].Name, frame.Headers[i].Value)
	}
	if hasLength(frame.Command) && bytes.IndexByte(frame.Body, 0) >= 0 {
		if _, ok := frame.Headers.Lookup(contentLength); !ok {
			dst = AppendIntHeader(dst, contentLength, int64(len(frame.Body)))
		}
	}
	return AppendBody(dst, frame.Body)
}

// AppendCommand begins a frame. AppendHeader, AppendIntHeader and at last AppendBody follow.
func AppendCommand(dst []byte, command string) []byte {
	dst = append(dst, command...)
	return append(dst, '\n')
}

// AppendHeader appends a header line, its value escaped as the version asks (STOMP 1.2, Value Encoding). Names are not
// escaped: clients do not expect it of ActiveMQ.
//
// No name and no value can end its line or the frame: what the version cannot express, and NUL, at which some clients
// end the frame, becomes a space in a value and a '_' in a name.
func AppendHeader[T string | []byte](dst []byte, version Version, name string, value T) []byte {
	dst = appendName(dst, name)
	dst = append(dst, ':')
	dst = appendValue(dst, version, value)
	return append(dst, '\n')
}

// AppendIntHeader appends a header line with a decimal number.
func AppendIntHeader(dst []byte, name string, value int64) []byte {
	dst = appendName(dst, name)
	dst = append(dst, ':')
	dst = strconv.AppendInt(dst, value, 10)
	return append(dst, '\n')
}

// AppendBody ends the header lines and the frame: an empty line, the body, NUL and LF.
func AppendBody(dst []byte, body []byte) []byte {
	dst = append(dst, '\n')
	dst = append(dst, body...)
	return append(dst, 0, '\n')
}

func appendName(dst []byte, name string) []byte {
	start := len(dst)
	dst = append(dst, name...)
	written := dst[start:]
	for i, c := range written {
		if c == ':' || c == '\n' || c == '\r' || c == 0 {
			written[i] = '_'
		}
	}
	return dst
}

func appendValue[T string | []byte](dst []byte, version Version, value T) []byte {
	done := 0
	for i := 0; i < len(value); i++ {
		c := value[i]
		if c != ':' && c != '\\' && c > '\r' {
			continue
		}
		escape := escaped(version, c)
		if escape == "" {
			continue
		}
		dst = append(dst, value[done:i]...)
		dst = append(dst, escape...)
		done = i + 1
	}
	return append(dst, value[done:]...)
}

// escaped is what stands for c in a value, or "" if it stands for itself.
func escaped(version Version, c byte) string {
	switch c {
	case 0:
		return " "
	case '\n':
		if version == V10 {
			return " "
		}
		return `\n`
	case '\r':
		switch version {
		case V10:
			return " "
		case V11:
			return "" // has no escape for it, and keeps it at the end of a line
		}
		return `\r`
	case ':':
		if version > V10 {
			return `\c`
		}
	case '\\':
		if version > V10 {
			return `\\`
		}
	}
	return ""
}

// appendUnescaped undoes appendValue. A backslash that begins no escape of the version stays as it is, as ActiveMQ
// tolerates it, though the specification would have the frame refused: clients send Windows paths.
func appendUnescaped(dst []byte, version Version, value []byte) []byte {
	if version == V10 {
		return append(dst, value...)
	}
	for {
		i := bytes.IndexByte(value, '\\')
		if i < 0 || i == len(value)-1 {
			return append(dst, value...)
		}
		dst = append(dst, value[:i]...)
		switch next := value[i+1]; {
		case next == '\\':
			dst = append(dst, '\\')
		case next == 'n':
			dst = append(dst, '\n')
		case next == 'c':
			dst = append(dst, ':')
		case next == 'r' && version >= V12:
			dst = append(dst, '\r')
		default:
			dst = append(dst, '\\', next)
		}
		value = value[i+2:]
	}
}
