// Package service is what stands behind Amazon MQ's API: it makes commands of the control plane of requests, and answers of its state. What requests may be is
// control/mqapi's business, what brokers are is control/plane's; here one is put into the other's words.
//
// What the API shows of a broker is what is in force. A change that is live is shown at once, and its pending member stays empty; a new engine version waits, and
// is shown as Amazon MQ does. docs/amazon-mq.md says where the answers differ from Amazon's.
package service

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/godwitmq/godwit/control/api"
	"github.com/godwitmq/godwit/control/client"
	"github.com/godwitmq/godwit/control/mqapi"
	"github.com/godwitmq/godwit/control/plane"
	"github.com/godwitmq/godwit/control/plane/durable"
	"github.com/godwitmq/godwit/journal"
	"github.com/godwitmq/godwit/security"
)

// Options are what a Service works with.
type Options struct {
	// Plane is the control plane, or nil while there is none to be asked.
	Plane func() *durable.Plane
	// Secret, 32 random bytes that stay the same, keys the digests of requests.
	Secret []byte
	// Account and Region are what an access key gets if the operator does not say.
	Account, Region string
	// ConsoleURL is that of the console, with a slash at its end. A broker's page is below it, one for all of its instances, so that it is never the standby's.
	ConsoleURL string
	// Own is the broker that the process runs itself, which is listed and no more; nil: there is none.
	Own func() *api.Broker
	// Stranded lists the clients of an instance that would not follow if another became active. nil: nobody can tell.
	Stranded func(ctx context.Context, active plane.Spec) ([]mqapi.SwitchoverClient, error)
	// Token makes a token for a machine that is to join as a node, which reaches the controller at addresses or, without any, where that listens. nil: nobody can join.
	Token func(node string, addresses []string) (*Token, error)
	// Node is the name of the node where the control plane is. NodeTimeout is how long another may be silent before it counts as lost.
	Node        string
	NodeTimeout time.Duration
	// Reach is a client of an instance's own API that may do everything there.
	Reach func(ctx context.Context, instance plane.Spec) (*client.Client, error)
}

// Service implements mqapi.Service and mqapi.Keys, and answers the operator (operator.go). It may be used by many goroutines.
type Service struct {
	options  Options
	hashing  chan struct{} // one entry a hash that is being made
	updating sync.Mutex    // orders updates that change a part of what the plane changes as a whole
	began    time.Time
}

// New makes a service.
func New(options Options) *Service {
	return &Service{options: options, hashing: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)), began: time.Now()}
}

var errNoPlane = mqapi.Errorf(mqapi.InternalServerError, "", "the control plane is being read; try again in a moment")

// state is the newest that is durable.
func (s *Service) state() (*plane.State, error) {
	p := s.options.Plane()
	if p == nil {
		return nil, errNoPlane
	}
	return p.State(), nil
}

// do carries out a caller's command.
func (s *Service) do(ctx context.Context, c mqapi.Caller, command plane.Command) (*plane.Change, error) {
	p := s.options.Plane()
	if p == nil {
		return nil, errNoPlane
	}
	change, err := p.Do(ctx, origin(c), command)
	return change, wire(err)
}

func scope(c mqapi.Caller) plane.Scope { return plane.Scope{Account: c.Account, Region: c.Region} }

func origin(c mqapi.Caller) plane.Origin {
	return plane.Origin{Scope: scope(c), Who: cmp.Or(c.Operator, c.AccessKeyID), From: c.Source.String()}
}

// kinds are the API's words for the plane's kinds of errors. The plane's attributes are the API's already, but for those of its own commands.
var kinds = map[plane.Kind]mqapi.Kind{plane.NotFound: mqapi.NotFound, plane.Conflict: mqapi.Conflict, plane.BadRequest: mqapi.BadRequest}

// wire makes an error of the API of one of the plane. One that it does not know stays as it is: it is for the log.
func wire(err error) error {
	var refused *plane.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, journal.ErrFull):
		return mqapi.Errorf(mqapi.InternalServerError, "", "the control plane's disk is full, and nothing was changed; ask the operator for room")
	case errors.As(err, &refused) && kinds[refused.Kind] != "":
		attribute := refused.Attribute
		switch attribute {
		case "id":
			attribute = ""
		case "to":
			attribute = "instance"
		}
		return mqapi.Errorf(kinds[refused.Kind], attribute, "%s", refused.Detail)
	}
	return err
}

// broker finds one of the caller's.
func (s *Service) broker(c mqapi.Caller, id string) (*plane.State, *plane.Broker, error) {
	state, err := s.state()
	if err != nil {
		return nil, nil, err
	}
	b := state.Broker(scope(c), id)
	if b == nil {
		return nil, nil, mqapi.Errorf(mqapi.NotFound, "broker-id", "Can't find requested broker [%s]. Make sure your broker exists.", id)
	}
	return state, b, nil
}

// hash makes the hash of a password.
func (s *Service) hash(ctx context.Context, password string) (string, error) {
	if err := s.turn(ctx); err != nil {
		return "", err
	}
	defer func() { <-s.hashing }()
	hash, err := security.HashPassword(password)
	if err != nil {
		return "", mqapi.Errorf(mqapi.BadRequest, "password", "%v", err)
	}
	return hash, nil
}

// turn waits until a hash may be made, which takes 19 MiB and a processor. Whoever has got it receives from hashing at the end.
func (s *Service) turn(ctx context.Context) error {
	select {
	case s.hashing <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Secret looks up an access key.
func (s *Service) Secret(_ context.Context, id string) (mqapi.Key, error) {
	state, err := s.state()
	if err != nil {
		return mqapi.Key{}, err
	}
	k := state.Key(id)
	if k == nil {
		return mqapi.Key{}, mqapi.ErrUnknownKey
	}
	return mqapi.Key{Account: k.Account, Secret: k.Secret, Disabled: k.Disabled}, nil
}

// digest tells whether a request is the same as one before, without giving away the passwords in it.
func (s *Service) digest(ctx context.Context, r *mqapi.CreateBrokerRequest) (string, error) {
	if err := s.turn(ctx); err != nil {
		return "", err
	}
	defer func() { <-s.hashing }()
	fingerprint := r.Fingerprint(s.options.Secret)
	return security.Digest(fingerprint[:], s.options.Secret), nil
}

// Catalog is what brokers can be made of, for mqapi.Rules.
func (s *Service) Catalog() mqapi.Catalog {
	state, err := s.state()
	if err != nil { // then no request gets as far as its rules
		return mqapi.Catalog{}
	}
	c := mqapi.Catalog{EngineVersions: state.Versions()}
	for _, t := range state.InstanceTypes() {
		c.InstanceTypes = append(c.InstanceTypes, mqapi.InstanceType{Name: t.Name, EBS: hasEBS(t)})
	}
	return c
}

// instanceName is the name of an instance in the API: the broker's id and the instance's number.
func instanceName(id string, number int) string { return fmt.Sprintf("%s-%d", id, number) }
