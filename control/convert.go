package control

import (
	"net/http"

	"github.com/godwitmq/godwit/control/api"
)

// convert writes lines of JSON while a conversion is at work, the last of which says how it ended. Before the hand-over it is given up when the client goes away.
func (s *Server) convert(w http.ResponseWriter, r *http.Request) {
	var ask api.Convert
	err := decode(r, &ask)
	if err == nil && s.options.Convert == nil {
		err = malformed(r, "this broker cannot be converted")
	}
	if err != nil {
		s.failed(w, r, err)
		return
	}
	said := false
	err = s.options.Convert(r.Context(), ask, r.Header, func(line api.Converting) {
		said = true
		_ = writeLine(w, line) // who does not read has gone, which ends the request
	})
	switch {
	case err == nil:
	case said:
		_ = writeLine(w, api.Converting{Done: true, Error: problem(err)})
	default:
		s.failed(w, r, err)
	}
}
