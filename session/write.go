package session

import (
	"net"
	"syscall"
)

// Raw gives what WriteNow needs; nil for a connection that is not a plain socket, such as one with TLS.
func Raw(conn net.Conn) syscall.RawConn {
	socket, ok := conn.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}

// WriteNow writes as much of b as the socket takes without waiting, which may be nothing.
func WriteNow(raw syscall.RawConn, b []byte) (n int, err error) {
	if raw == nil {
		return 0, nil
	}
	closed := raw.Write(func(fd uintptr) bool {
		n, err = syscall.Write(int(fd), b)
		return true
	})
	n = max(n, 0)
	switch {
	case closed != nil:
		return n, closed
	case err == syscall.EAGAIN, err == syscall.EINTR:
		return n, nil
	}
	return n, err
}
