package console

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/godwitmq/godwit/audit"
	"github.com/godwitmq/godwit/control/api"
	"github.com/godwitmq/godwit/control/mqapi"
	mqclient "github.com/godwitmq/godwit/control/mqapi/client"
)

// managedRoutes are the pages of a service for several brokers, and of who did what.
func (c *Console) managedRoutes() {
	const lists = 2 * time.Second
	c.at("audit", page{title: "Audit", role: api.Admin, every: lists, model: auditOf})
	if !c.options.Service {
		return
	}
	c.at("brokers", page{title: "Brokers", role: api.Reader, every: lists, model: brokersOf})
	c.act("broker", createBroker)
	c.at("groups", page{title: "Security groups", role: api.Reader, model: groupsOf})
	c.act("group", changeGroup)
	c.at("nodes", page{title: "Nodes", role: api.Reader, every: lists, model: nodesOf})
	c.act("drain", drain)
	c.at("users", page{title: "Users", role: api.Reader, model: usersOf})
	c.act("user", changeUser)
}

// mq is Amazon MQ's API, for an account and a region; "" is the service's own.
func (v *view) mq(account, region string) *mqclient.Client {
	return mqclient.New(v.service, account, region)
}

func (v *view) field(name string) string { return strings.TrimSpace(v.r.PostFormValue(name)) }

func auditOf(v *view) (any, error) {
	return v.api.Audit(v.ctx, audit.Filter{Who: v.Query("who"), Operation: v.Query("operation"), Limit: 200})
}

// brokersPage is the list of brokers, and what a new one can be.
type brokersPage struct {
	Brokers []api.Broker
	Types   []api.InstanceType
}

func brokersOf(v *view) (any, error) {
	var p brokersPage
	var err error
	if p.Brokers, err = v.service.Brokers(v.ctx); err != nil {
		return nil, err
	}
	p.Types, err = v.service.InstanceTypes(v.ctx)
	return p, err
}

func createBroker(v *view) (said, next string, err error) {
	ask := &mqapi.CreateBrokerRequest{BrokerName: v.field("name"), DeploymentMode: mqapi.DeploymentMode(v.field("mode")), EngineType: mqapi.EngineTypeActiveMQ, HostInstanceType: v.field("type")}
	if user := v.field("user"); user != "" {
		ask.Users = []mqapi.User{{Username: user, Password: v.r.PostFormValue("password"), Groups: words(v.field("groups"))}}
	}
	if _, err := v.mq("", "").CreateBroker(v.ctx, ask); err != nil {
		return "", "", err
	}
	return fmt.Sprintf("Broker %s is being made.", ask.BrokerName), root + "brokers", nil
}

// words are those of a text, parted by spaces or commas.
func words(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == ',' || r == '\n' || r == '\r' || r == '\t' })
}

func groupsOf(v *view) (any, error) { return v.service.SecurityGroups(v.ctx) }

func changeGroup(v *view) (said, next string, err error) {
	id, name := v.field("id"), v.field("name")
	if v.field("do") == "delete" {
		return fmt.Sprintf("%s is removed.", name), root + "groups", v.service.DeleteSecurityGroup(v.ctx, id)
	}
	rules := []api.NetworkRule{}
	for _, text := range words(v.r.PostFormValue("rules")) {
		r, err := api.ParseNetworkRule(text)
		if err != nil {
			return "", "", err
		}
		rules = append(rules, r)
	}
	if id == "" {
		_, err = v.service.CreateSecurityGroup(v.ctx, api.NewSecurityGroup{Name: name, Description: v.field("description"), Rules: rules})
		return fmt.Sprintf("%s is made.", name), root + "groups", err
	}
	g, err := v.service.UpdateSecurityGroup(v.ctx, id, api.ChangeSecurityGroup{Rules: &rules})
	if err != nil {
		return "", "", err
	}
	return fmt.Sprintf("%s is changed, at once for all that have it: %d brokers.", g.Name, len(g.Brokers)), root + "groups", nil
}

func nodesOf(v *view) (any, error) { return v.service.Nodes(v.ctx) }

func drain(v *view) (said, next string, err error) {
	name, on := v.field("name"), v.field("do") == "drain"
	if err := v.service.DrainNode(v.ctx, name, on); err != nil {
		return "", "", err
	}
	if on {
		return fmt.Sprintf("%s is drained: its instances go elsewhere, one at a time.", name), root + "nodes", nil
	}
	return fmt.Sprintf("%s takes instances again.", name), root + "nodes", nil
}

// usersPage is of one of the service's brokers.
type usersPage struct {
	Managed bool // else its users are in files, or elsewhere
	Users   []mqapi.DescribeUserResponse
}

func usersOf(v *view) (any, error) {
	if v.Broker == "" {
		return usersPage{}, nil
	}
	b, err := v.service.Broker(v.ctx, v.Broker)
	if err != nil {
		return nil, err
	}
	p := usersPage{Managed: true}
	for _, name := range b.Users {
		u, err := v.mq(b.Account, b.Region).DescribeUser(v.ctx, &mqapi.DescribeUserRequest{BrokerID: b.ID, Username: name})
		if err != nil {
			return nil, err
		}
		p.Users = append(p.Users, *u)
	}
	return p, nil
}

func changeUser(v *view) (said, next string, err error) {
	b, err := v.service.Broker(v.ctx, v.Broker)
	if err != nil {
		return "", "", err
	}
	mq, name, password, groups := v.mq(b.Account, b.Region), v.field("name"), v.r.PostFormValue("password"), words(v.field("groups"))
	next = v.Base() + "users"
	switch v.field("do") {
	case "create":
		return fmt.Sprintf("%s can log in.", name), next, mq.CreateUser(v.ctx, &mqapi.CreateUserRequest{BrokerID: b.ID, Username: name, Password: password, Groups: groups})
	case "delete":
		return fmt.Sprintf("%s is removed.", name), next, mq.DeleteUser(v.ctx, &mqapi.DeleteUserRequest{BrokerID: b.ID, Username: name})
	case "update":
		ask := &mqapi.UpdateUserRequest{BrokerID: b.ID, Username: name, Groups: append([]string{}, groups...)}
		if password != "" {
			ask.Password = &password
		}
		return fmt.Sprintf("%s is changed.", name), next, mq.UpdateUser(v.ctx, ask)
	}
	return "", "", errors.New("expected create, update or delete")
}
