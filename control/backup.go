package control

import (
	"context"
	"net/http"

	"github.com/godwitmq/godwit/control/api"
)

// backup answers with the bytes of a backup. That all of them came, and that they are right, is for their reader to see.
func (s *Server) backup(w http.ResponseWriter, r *http.Request) {
	var ask api.Backup
	err := decode(r, &ask)
	if err == nil && s.options.Backup == nil {
		err = malformed(r, "no backup can be made here")
	}
	if err != nil {
		s.failed(w, r, err)
		return
	}
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	defer context.AfterFunc(s.stopping, func() { cancel(context.Cause(s.stopping)) })()
	to := &download{ResponseWriter: w}
	if err := s.options.Backup(ctx, ask, &patient{ResponseWriter: to}); err != nil && !to.begun {
		s.failed(w, r, err)
	}
}

// download is an answer that is a file.
type download struct {
	http.ResponseWriter
	begun bool
}

func (d *download) Write(b []byte) (int, error) {
	if !d.begun {
		d.begun = true
		h := d.Header()
		h.Set("Content-Type", "application/octet-stream")
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
	}
	return d.ResponseWriter.Write(b)
}

func (d *download) Unwrap() http.ResponseWriter { return d.ResponseWriter }
