package message

// Properties is a message's property map in encoded form: that of OpenWire's primitive map.
type Properties []byte
