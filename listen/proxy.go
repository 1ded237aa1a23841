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
	proxyCommand     = 0x21
	proxyTCP4        = 0x11
	proxyTCP6        = 0x21
	maxProxyAddition = 4096 // addresses and TLVs; a proxy adds some hundred bytes
)

// ProxyHeader is what a PROXY protocol v2 header says of a connection.
type ProxyHeader struct {
	// Source is the client and Destination what it dialled, IPv4 as such; invalid if the proxy speaks for itself (LOCAL).
	Source, Destination netip.AddrPort
	TLVs                []byte // not parsed; proxyproto.SplitTLVs does that
}

// ReadProxyHeader reads exactly a PROXY protocol v2 header. One with more than limit bytes after the fixed 16 is refused
// before memory is taken for it.
func ReadProxyHeader(r io.Reader, limit int) (ProxyHeader, error) {
	header := make([]byte, proxyFixedBytes, proxyFixedBytes+128)
	if _, err := io.ReadFull(r, header); err != nil {
		return ProxyHeader{}, fmt.Errorf("read PROXY header: %w", err)
	}
	if string(header[:len(proxySignature)]) != proxySignature {
		return ProxyHeader{}, errors.New("the connection does not begin with a PROXY protocol v2 header")
	}
	n := int(binary.BigEndian.Uint16(header[14:]))
	if n > limit {
		return ProxyHeader{}, fmt.Errorf("the PROXY header has %d bytes more; at most %d are accepted", n, limit)
	}
	header = append(header, make([]byte, n)...)
	if _, err := io.ReadFull(r, header[proxyFixedBytes:]); err != nil {
		return ProxyHeader{}, fmt.Errorf("read PROXY header: %w", err)
	}
	// The addresses only: proxyproto has a limit of its own for all together, below what a certificate may need.
	addresses := 0
	switch header[13] {
	case proxyTCP4:
		addresses = min(12, n)
	case proxyTCP6:
		addresses = min(36, n)
	default:
		if header[12] == proxyCommand {
			return ProxyHeader{}, errors.New("the PROXY header is not about a TCP connection")
		}
	}
	tlvs := header[proxyFixedBytes+addresses:]
	header = header[:proxyFixedBytes+addresses]
	binary.BigEndian.PutUint16(header[14:], uint16(addresses))
	h, err := proxyproto.Read(bufio.NewReaderSize(bytes.NewReader(header), len(header)))
	if err != nil {
		return ProxyHeader{}, fmt.Errorf("PROXY header: %w", err)
	}
	if h.Command.IsLocal() {
		return ProxyHeader{}, nil
	}
	from, ok := h.SourceAddr.(*net.TCPAddr)
	to, ok2 := h.DestinationAddr.(*net.TCPAddr)
	if !ok || !ok2 {
		return ProxyHeader{}, errors.New("the PROXY header is not about a TCP connection")
	}
	return ProxyHeader{unmap(from.AddrPort()), unmap(to.AddrPort()), tlvs}, nil
}

func unmap(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}
