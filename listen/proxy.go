package listen

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"

	"github.com/pires/go-proxyproto"
)

const (
	proxySignature   = "\r\n\r\n\x00\r\nQUIT\n"
	proxyFixedBytes  = 16
	maxProxyAddition = 4096 // addresses and TLVs; a proxy adds some hundred bytes
)

// readProxyHeader reads exactly a PROXY protocol v2 header and returns the addresses of the connection that the proxy
// has: the client's and the one that it dialled. They are invalid if the proxy speaks for itself (LOCAL).
func readProxyHeader(r io.Reader) (source, destination netip.AddrPort, err error) {
	header := make([]byte, proxyFixedBytes, proxyFixedBytes+128)
	if _, err := io.ReadFull(r, header); err != nil {
		return source, destination, fmt.Errorf("read PROXY header: %w", err)
	}
	if string(header[:len(proxySignature)]) != proxySignature {
		return source, destination, errors.New("the connection does not begin with a PROXY protocol v2 header")
	}
	n := int(binary.BigEndian.Uint16(header[14:]))
	if n > maxProxyAddition {
		return source, destination, fmt.Errorf("the PROXY header has %d bytes more; at most %d are accepted", n, maxProxyAddition)
	}
	header = append(header, make([]byte, n)...)
	if _, err := io.ReadFull(r, header[proxyFixedBytes:]); err != nil {
		return source, destination, fmt.Errorf("read PROXY header: %w", err)
	}
	h, err := proxyproto.Read(bufio.NewReaderSize(bytes.NewReader(header), len(header)))
	if err != nil {
		return source, destination, fmt.Errorf("PROXY header: %w", err)
	}
	if h.Command.IsLocal() {
		return source, destination, nil
	}
	from, ok := h.SourceAddr.(*net.TCPAddr)
	to, ok2 := h.DestinationAddr.(*net.TCPAddr)
	if !ok || !ok2 {
		return source, destination, errors.New("the PROXY header is not about a TCP connection")
	}
	return unmap(from.AddrPort()), unmap(to.AddrPort()), nil
}

func unmap(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}
