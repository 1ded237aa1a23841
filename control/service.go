package control

import (
	"context"
	"net/http"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/control/api"
	"github.com/godwitmq/godwit/control/client"
)

// Service is what the API knows of the brokers that a service runs beside the one of this process. Who and from say who asks. Errors are to be shown.
type Service interface {
	Keys() ([]api.Key, error)
	CreateKey(ctx context.Context, who, from string, ask api.NewKey) (*api.CreatedKey, error)
	EnableKey(ctx context.Context, who, from, id string, enabled bool) error
	DeleteKey(ctx context.Context, who, from, id string) error

	SecurityGroups() ([]api.SecurityGroup, error)
	CreateSecurityGroup(ctx context.Context, who, from string, ask api.NewSecurityGroup) (*api.SecurityGroup, error)
	UpdateSecurityGroup(ctx context.Context, who, from, id string, ask api.ChangeSecurityGroup) (*api.SecurityGroup, error)
	DeleteSecurityGroup(ctx context.Context, who, from, id string) error

	InstanceTypes() ([]api.InstanceType, error)
	PutInstanceType(ctx context.Context, who, from, name string, ask api.InstanceType) error
	DeleteInstanceType(ctx context.Context, who, from, name string) error

	Nodes() ([]api.Node, error)
	InviteNode(ctx context.Context, who, from string, ask api.InviteNode) (*api.InvitedNode, error)
	DrainNode(ctx context.Context, who, from, name string, drain bool) error
	// RemoveNode forgets a node that runs nothing; lost, also one whose instances can be replaced.
	RemoveNode(ctx context.Context, who, from, name string, lost bool) error

	Brokers() ([]api.Broker, error)
	// Broker finds one by its name or id.
	Broker(name string) (*api.Broker, error)
	SwitchOver(ctx context.Context, who, from, name string, ask api.BrokerSwitchover) (*api.BrokerSwitchedOver, error)
	Reboot(ctx context.Context, who, from, name string, ask api.BrokerReboot) (*api.BrokerRebooted, error)
	// Reach is a client of a broker's own API, at its active instance if there is one, that may do everything there.
	Reach(ctx context.Context, name string) (*client.Client, error)
}

// ofService answers with what ask gives.
func (s *Server) ofService(ask func(Service, *http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if s.options.Service == nil {
			s.failed(w, r, errNoService)
			return
		}
		answer, err := ask(s.options.Service, r)
		if err != nil {
			s.failed(w, r, err)
			return
		}
		respond(w, answer)
	}
}

// amazonAs answers what is of Amazon MQ's API, asked by the operator.
func (s *Server) amazonAs(w http.ResponseWriter, r *http.Request) {
	if s.options.AmazonAs == nil {
		s.failed(w, r, errNoService)
		return
	}
	http.StripPrefix("/api/v1/mq", s.options.AmazonAs(callerOf(r).User)).ServeHTTP(w, r)
}

var errNoService = &api.Error{Status: http.StatusConflict, Code: broker.NotFound.String(), Detail: "this is no service for several brokers; service.enabled in its configuration makes it one"}

// serviceRoutes are the paths of Service.
func (s *Server) serviceRoutes(on func(n need, pattern string, h http.HandlerFunc)) {
	const v1 = "/api/v1/"
	on(admin, "GET "+v1+"keys", s.ofService(func(service Service, r *http.Request) (any, error) {
		keys, err := service.Keys()
		return api.Keys{Keys: keys}, err
	}))
	on(admin, "POST "+v1+"keys", s.ofService(func(service Service, r *http.Request) (any, error) {
		var ask api.NewKey
		if err := decode(r, &ask); err != nil {
			return nil, err
		}
		return service.CreateKey(r.Context(), callerOf(r).User, r.RemoteAddr, ask)
	}))
	on(admin, "POST "+v1+"keys/{id}", s.ofService(func(service Service, r *http.Request) (any, error) {
		var ask api.ChangeKey
		if err := decode(r, &ask); err != nil {
			return nil, err
		}
		if ask.Disabled == nil {
			return nil, malformed(r, "there is nothing to change; expected disabled, true or false")
		}
		return struct{}{}, service.EnableKey(r.Context(), callerOf(r).User, r.RemoteAddr, r.PathValue("id"), !*ask.Disabled)
	}))
	on(admin, "DELETE "+v1+"keys/{id}", s.ofService(func(service Service, r *http.Request) (any, error) {
		return struct{}{}, service.DeleteKey(r.Context(), callerOf(r).User, r.RemoteAddr, r.PathValue("id"))
	}))
	on(reader, "GET "+v1+"nodes", s.ofService(func(service Service, r *http.Request) (any, error) {
		nodes, err := service.Nodes()
		return api.Nodes{Nodes: nodes}, err
	}))
	on(admin, "POST "+v1+"nodes", s.ofService(func(service Service, r *http.Request) (any, error) {
		var ask api.InviteNode
		if err := decode(r, &ask); err != nil {
			return nil, err
		}
		return service.InviteNode(r.Context(), callerOf(r).User, r.RemoteAddr, ask)
	}))
	on(admin, "POST "+v1+"nodes/{name}", s.ofService(func(service Service, r *http.Request) (any, error) {
		var ask api.ChangeNode
		if err := decode(r, &ask); err != nil {
			return nil, err
		}
		if ask.Draining == nil {
			return nil, malformed(r, "there is nothing to change; expected draining, true or false")
		}
		return struct{}{}, service.DrainNode(r.Context(), callerOf(r).User, r.RemoteAddr, r.PathValue("name"), *ask.Draining)
	}))
	on(admin, "DELETE "+v1+"nodes/{name}", s.ofService(func(service Service, r *http.Request) (any, error) {
		lost := r.URL.Query().Get("lost")
		if lost != "" && lost != "true" && lost != "false" {
			return nil, malformed(r, "lost is to be true or false")
		}
		return struct{}{}, service.RemoveNode(r.Context(), callerOf(r).User, r.RemoteAddr, r.PathValue("name"), lost == "true")
	}))
	on(reader, "GET "+v1+"security-groups", s.ofService(func(service Service, r *http.Request) (any, error) {
		groups, err := service.SecurityGroups()
		return api.SecurityGroups{SecurityGroups: groups}, err
	}))
	on(admin, "POST "+v1+"security-groups", s.ofService(func(service Service, r *http.Request) (any, error) {
		var ask api.NewSecurityGroup
		if err := decode(r, &ask); err != nil {
			return nil, err
		}
		return service.CreateSecurityGroup(r.Context(), callerOf(r).User, r.RemoteAddr, ask)
	}))
	on(admin, "POST "+v1+"security-groups/{id}", s.ofService(func(service Service, r *http.Request) (any, error) {
		var ask api.ChangeSecurityGroup
		if err := decode(r, &ask); err != nil {
			return nil, err
		}
		return service.UpdateSecurityGroup(r.Context(), callerOf(r).User, r.RemoteAddr, r.PathValue("id"), ask)
	}))
	on(admin, "DELETE "+v1+"security-groups/{id}", s.ofService(func(service Service, r *http.Request) (any, error) {
		return struct{}{}, service.DeleteSecurityGroup(r.Context(), callerOf(r).User, r.RemoteAddr, r.PathValue("id"))
	}))
	on(reader, "GET "+v1+"instance-types", s.ofService(func(service Service, r *http.Request) (any, error) {
		types, err := service.InstanceTypes()
		return api.InstanceTypes{InstanceTypes: types}, err
	}))
	on(admin, "PUT "+v1+"instance-types/{name}", s.ofService(func(service Service, r *http.Request) (any, error) {
		var ask api.InstanceType
		if err := decode(r, &ask); err != nil {
			return nil, err
		}
		return struct{}{}, service.PutInstanceType(r.Context(), callerOf(r).User, r.RemoteAddr, r.PathValue("name"), ask)
	}))
	on(admin, "DELETE "+v1+"instance-types/{name}", s.ofService(func(service Service, r *http.Request) (any, error) {
		return struct{}{}, service.DeleteInstanceType(r.Context(), callerOf(r).User, r.RemoteAddr, r.PathValue("name"))
	}))
	on(reader, "GET "+v1+"brokers", s.ofService(func(service Service, r *http.Request) (any, error) {
		brokers, err := service.Brokers()
		return api.Brokers{Brokers: brokers}, err
	}))
	on(reader, "GET "+v1+"brokers/{name}", s.ofService(func(service Service, r *http.Request) (any, error) { return service.Broker(r.PathValue("name")) }))
	on(admin, "POST "+v1+"brokers/{name}/reboot", s.ofService(func(service Service, r *http.Request) (any, error) {
		var ask api.BrokerReboot
		if err := decode(r, &ask); err != nil {
			return nil, err
		}
		return service.Reboot(r.Context(), callerOf(r).User, r.RemoteAddr, r.PathValue("name"), ask)
	}))
	on(anybody, v1+"brokers/{name}/api/v1/{rest...}", s.forward)
	on(reader, "GET "+v1+"mq/v1/{rest...}", s.amazonAs)
	for _, method := range []string{"POST", "PUT", "DELETE"} {
		on(admin, method+" "+v1+"mq/v1/{rest...}", s.amazonAs)
	}
	on(operator, "POST "+v1+"brokers/{name}/switchover", s.ofService(func(service Service, r *http.Request) (any, error) {
		var ask api.BrokerSwitchover
		if err := decode(r, &ask); err != nil {
			return nil, err
		}
		return service.SwitchOver(r.Context(), callerOf(r).User, r.RemoteAddr, r.PathValue("name"), ask)
	}))
}
