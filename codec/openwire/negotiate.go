package openwire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/godwitmq/godwit/codec/mutf8"
)

// magic begins the body of the first frame.
const magic = "ActiveMQ"

// Versions of the protocol that this package speaks.
const (
	MinVersion = 1
	MaxVersion = 12
)

// What can be wrong with a peer's WireFormatInfo.
var (
	ErrProperties = errors.New("malformed wire format properties")
	ErrOldVersion = errors.New("version too old")
)

// Limits for the properties of a WireFormatInfo; those of ActiveMQ 6.3.
const (
	maxWireFormatEntries = 64
	maxWireFormatValue   = 512 // bytes
)

// WireFormat is what one side can do, or what both agreed on: the content of a WireFormatInfo. A property that is absent is false, 0 or "".
type WireFormat struct {
	Version                   int
	TightEncoding             bool // not implemented here: leave it false
	Cache                     bool // not implemented here: leave it false
	CacheSize                 int
	SizePrefixDisabled        bool // not implemented here: leave it false
	StackTrace                bool
	TCPNoDelay                bool
	MaxInactivity             time.Duration // ms on the wire; 0 off
	MaxInactivityInitialDelay time.Duration // ms on the wire
	MaxFrameSize              int64         // bytes; 0 or less: no limit
	MaxFrameSizeEnabled       bool          // not negotiated
	Host                      string        // what the client dialled, if it says
	ProviderName              string        // "ActiveMQ", ...
	ProviderVersion           string        // "6.3.1"; decides the package of exception classes
	PlatformDetails           string
}

// Combine returns what holds after both sides have sent their WireFormatInfo: w ours, peer theirs. Names are the peer's. It fails with
// ErrOldVersion if the peer's version is below minVersion.
func (w WireFormat) Combine(peer WireFormat, minVersion int) (WireFormat, error) {
	version := lower(int64(w.Version), int64(peer.Version))
	if version < int64(minVersion) || version < MinVersion {
		return WireFormat{}, fmt.Errorf("%w: %d", ErrOldVersion, peer.Version)
	}
	return WireFormat{
		Version:                   int(min(version, MaxVersion)),
		TightEncoding:             w.TightEncoding && peer.TightEncoding,
		Cache:                     w.Cache && peer.Cache,
		CacheSize:                 min(w.CacheSize, peer.CacheSize),
		SizePrefixDisabled:        w.SizePrefixDisabled && peer.SizePrefixDisabled,
		StackTrace:                w.StackTrace && peer.StackTrace,
		TCPNoDelay:                w.TCPNoDelay && peer.TCPNoDelay,
		MaxInactivity:             max(0, min(w.MaxInactivity, peer.MaxInactivity)),
		MaxInactivityInitialDelay: max(0, min(w.MaxInactivityInitialDelay, peer.MaxInactivityInitialDelay)),
		MaxFrameSize:              lower(w.MaxFrameSize, peer.MaxFrameSize),
		MaxFrameSizeEnabled:       w.MaxFrameSizeEnabled,
		Host:                      peer.Host,
		ProviderName:              peer.ProviderName,
		ProviderVersion:           peer.ProviderVersion,
		PlatformDetails:           peer.PlatformDetails,
	}, nil
}

// lower is the smaller of two limits, of which one that is not positive does not count.
func lower(a, b int64) int64 {
	switch {
	case a <= 0:
		return b
	case b <= 0:
		return a
	}
	return min(a, b)
}

// Info makes the frame that announces w.
func (w WireFormat) Info() *WireFormatInfo {
	b := make([]byte, 4, 512)
	n := uint32(0)
	key := func(name string, tag byte) {
		n++
		b = binary.BigEndian.AppendUint16(b, uint16(len(name)))
		b = append(append(b, name...), tag)
	}
	flag := func(name string, v bool) { key(name, tagBoolean); b = appendBool(b, v) }
	long := func(name string, v int64) { key(name, tagLong); b = binary.BigEndian.AppendUint64(b, uint64(v)) }
	text := func(name, v string) {
		enc := mutf8.Append(nil, v)
		if v == "" || len(enc) > maxWireFormatValue {
			return
		}
		key(name, tagString)
		b = binary.BigEndian.AppendUint16(b, uint16(len(enc)))
		b = append(b, enc...)
	}
	flag("TightEncodingEnabled", w.TightEncoding)
	flag("CacheEnabled", w.Cache)
	key("CacheSize", tagInt)
	b = binary.BigEndian.AppendUint32(b, uint32(w.CacheSize))
	flag("SizePrefixDisabled", w.SizePrefixDisabled)
	flag("StackTraceEnabled", w.StackTrace)
	flag("TcpNoDelayEnabled", w.TCPNoDelay)
	long("MaxInactivityDuration", w.MaxInactivity.Milliseconds())
	long("MaxInactivityDurationInitalDelay", w.MaxInactivityInitialDelay.Milliseconds()) // spelled so in the protocol
	long("MaxFrameSize", w.MaxFrameSize)
	flag("MaxFrameSizeEnabled", w.MaxFrameSizeEnabled)
	text("Host", w.Host)
	text("ProviderName", w.ProviderName)
	text("ProviderVersion", w.ProviderVersion)
	text("PlatformDetails", w.PlatformDetails)
	binary.BigEndian.PutUint32(b, n)
	return &WireFormatInfo{Version: int32(w.Version), MarshalledProperties: b}
}

// Tags of a primitive map, as far as they are needed here.
const (
	tagNull      = 0
	tagBoolean   = 1
	tagByte      = 2
	tagChar      = 3
	tagShort     = 4
	tagInt       = 5
	tagLong      = 6
	tagDouble    = 7
	tagFloat     = 8
	tagString    = 9
	tagBytes     = 10
	tagBigString = 13
)

// WireFormat reads the properties. Keys it does not know, and known ones of an unexpected type, are skipped. Errors wrap ErrProperties:
// more than 64 entries, a key or value over 512 bytes, a map or list as a value, or bytes that are no primitive map.
func (v *WireFormatInfo) WireFormat() (WireFormat, error) {
	w := WireFormat{Version: int(v.Version)}
	if v.MarshalledProperties == nil {
		return w, nil
	}
	p := v.MarshalledProperties
	n, p, ok := cutInt(p, 4)
	count := int32(n)
	if !ok || count > maxWireFormatEntries {
		return WireFormat{}, fmt.Errorf("%w: %d entries", ErrProperties, count)
	}
	for range max(count, 0) { // -1 is a null map
		var key, value []byte
		var tag byte
		key, tag, value, p, ok = cutEntry(p)
		if !ok {
			return WireFormat{}, fmt.Errorf("%w: after %q", ErrProperties, key)
		}
		if err := w.set(string(key), tag, value); err != nil {
			return WireFormat{}, err
		}
	}
	if len(p) != 0 {
		return WireFormat{}, fmt.Errorf("%w: %d bytes too many", ErrProperties, len(p))
	}
	return w, nil
}

func (w *WireFormat) set(key string, tag byte, value []byte) error {
	switch tag {
	case tagBoolean:
		on := value[0] != 0
		switch key {
		case "TightEncodingEnabled":
			w.TightEncoding = on
		case "CacheEnabled":
			w.Cache = on
		case "SizePrefixDisabled":
			w.SizePrefixDisabled = on
		case "StackTraceEnabled":
			w.StackTrace = on
		case "TcpNoDelayEnabled":
			w.TCPNoDelay = on
		case "MaxFrameSizeEnabled":
			w.MaxFrameSizeEnabled = on
		}
	case tagInt, tagLong:
		n, _, _ := cutInt(value, len(value))
		if tag == tagInt {
			n = int64(int32(n))
		}
		switch key {
		case "CacheSize":
			w.CacheSize = int(min(max(n, 0), math.MaxInt32))
		case "MaxInactivityDuration":
			w.MaxInactivity = millis(n)
		case "MaxInactivityDurationInitalDelay":
			w.MaxInactivityInitialDelay = millis(n)
		case "MaxFrameSize":
			w.MaxFrameSize = n
		}
	case tagString, tagBigString:
		s, err := mutf8.DecodeValid(value)
		if err != nil {
			return fmt.Errorf("%w: %s: %w", ErrProperties, key, err)
		}
		switch key {
		case "Host":
			w.Host = s
		case "ProviderName":
			w.ProviderName = s
		case "ProviderVersion":
			w.ProviderVersion = s
		case "PlatformDetails":
			w.PlatformDetails = s
		}
	}
	return nil
}

// millis converts without overflow: a duration holds 292 years.
func millis(n int64) time.Duration {
	const most = math.MaxInt64 / int64(time.Millisecond)
	return time.Duration(min(max(n, -most), most)) * time.Millisecond
}

// cutInt reads a big-endian number of size bytes; more than 8 are not read.
func cutInt(p []byte, size int) (n int64, rest []byte, ok bool) {
	if len(p) < size || size > 8 {
		return 0, p, false
	}
	for _, c := range p[:size] {
		n = n<<8 | int64(c)
	}
	return n, p[size:], true
}

func cutEntry(p []byte) (key []byte, tag byte, value, rest []byte, ok bool) {
	n, p, ok := cutInt(p, 2)
	if !ok || n > maxWireFormatValue || int(n)+1 > len(p) {
		return nil, 0, nil, p, false
	}
	key, tag, p = p[:n], p[n], p[n+1:]
	size := int64(0)
	switch tag {
	case tagNull:
	case tagBoolean, tagByte:
		size = 1
	case tagChar, tagShort:
		size = 2
	case tagInt, tagFloat:
		size = 4
	case tagLong, tagDouble:
		size = 8
	case tagString:
		size, p, ok = cutInt(p, 2)
	case tagBytes, tagBigString:
		size, p, ok = cutInt(p, 4)
	default: // maps and lists are not allowed here
		ok = false
	}
	if !ok || size > maxWireFormatValue || int(size) > len(p) {
		return key, tag, nil, p, false
	}
	return key, tag, p[:size], p[size:], true
}
