package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/godwitmq/godwit/control/api"
)

// Keys lists the access keys of a service, without their secrets.
func (c *Client) Keys(ctx context.Context) ([]api.Key, error) {
	var answer api.Keys
	err := c.get(ctx, &answer, nil, "keys")
	return answer.Keys, err
}

// CreateKey makes an access key. The answer alone has its secret.
func (c *Client) CreateKey(ctx context.Context, ask api.NewKey) (*api.CreatedKey, error) {
	answer := &api.CreatedKey{}
	return answer, c.post(ctx, answer, ask, "keys")
}

// EnableKey enables an access key, or disables it.
func (c *Client) EnableKey(ctx context.Context, id string, enabled bool) error {
	return c.post(ctx, nil, api.ChangeKey{Disabled: new(!enabled)}, "keys", id)
}

// DeleteKey removes an access key.
func (c *Client) DeleteKey(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, nil, nil, nil, "keys", id)
}

// Nodes lists the machines of a service, those that are invited among them.
func (c *Client) Nodes(ctx context.Context) ([]api.Node, error) {
	var answer api.Nodes
	err := c.get(ctx, &answer, nil, "nodes")
	return answer.Nodes, err
}

// InviteNode makes a token with which a machine can join a service. The answer alone has it.
func (c *Client) InviteNode(ctx context.Context, ask api.InviteNode) (*api.InvitedNode, error) {
	answer := &api.InvitedNode{}
	return answer, c.post(ctx, answer, ask, "nodes")
}

// DrainNode has all instances of a node move away, or takes that back.
func (c *Client) DrainNode(ctx context.Context, name string, drain bool) error {
	return c.post(ctx, nil, api.ChangeNode{Draining: &drain}, "nodes", name)
}

// RemoveNode forgets a node that runs nothing; lost, also one that does not come back.
func (c *Client) RemoveNode(ctx context.Context, name string, lost bool) error {
	return c.call(ctx, http.MethodDelete, nil, nil, url.Values{"lost": {strconv.FormatBool(lost)}}, "nodes", name)
}

// Brokers lists the brokers of a service.
func (c *Client) Brokers(ctx context.Context) ([]api.Broker, error) {
	var answer api.Brokers
	err := c.get(ctx, &answer, nil, "brokers")
	return answer.Brokers, err
}

// Broker shows a broker of a service, by its name or id.
func (c *Client) Broker(ctx context.Context, name string) (*api.Broker, error) {
	answer := &api.Broker{}
	return answer, c.get(ctx, answer, nil, "brokers", name)
}

// SwitchOverBroker makes another instance of a broker of a service the active one, or says what that would do.
func (c *Client) SwitchOverBroker(ctx context.Context, name string, ask api.BrokerSwitchover) (*api.BrokerSwitchedOver, error) {
	answer := &api.BrokerSwitchedOver{}
	return answer, c.post(ctx, answer, ask, "brokers", name, "switchover")
}

// RebootBroker restarts the instances of a broker of a service, or says what that would do.
func (c *Client) RebootBroker(ctx context.Context, name string, ask api.BrokerReboot) (*api.BrokerRebooted, error) {
	answer := &api.BrokerRebooted{}
	return answer, c.post(ctx, answer, ask, "brokers", name, "reboot")
}

// SecurityGroups lists the security groups of a service, of all accounts and regions.
func (c *Client) SecurityGroups(ctx context.Context) ([]api.SecurityGroup, error) {
	var answer api.SecurityGroups
	err := c.get(ctx, &answer, nil, "security-groups")
	return answer.SecurityGroups, err
}

// CreateSecurityGroup makes a security group.
func (c *Client) CreateSecurityGroup(ctx context.Context, ask api.NewSecurityGroup) (*api.SecurityGroup, error) {
	answer := &api.SecurityGroup{}
	return answer, c.post(ctx, answer, ask, "security-groups")
}

// UpdateSecurityGroup changes a security group, at once for all brokers that have it.
func (c *Client) UpdateSecurityGroup(ctx context.Context, id string, ask api.ChangeSecurityGroup) (*api.SecurityGroup, error) {
	answer := &api.SecurityGroup{}
	return answer, c.post(ctx, answer, ask, "security-groups", id)
}

// DeleteSecurityGroup removes a security group that no broker has.
func (c *Client) DeleteSecurityGroup(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, nil, nil, nil, "security-groups", id)
}

// InstanceTypes lists the instance types of a service.
func (c *Client) InstanceTypes(ctx context.Context) ([]api.InstanceType, error) {
	var answer api.InstanceTypes
	err := c.get(ctx, &answer, nil, "instance-types")
	return answer.InstanceTypes, err
}

// PutInstanceType makes an instance type of the operator's own, or changes one.
func (c *Client) PutInstanceType(ctx context.Context, t api.InstanceType) error {
	name := t.Name
	t.Name = ""
	return c.call(ctx, http.MethodPut, nil, t, nil, "instance-types", name)
}

// DeleteInstanceType removes an instance type of the operator's own that no broker has.
func (c *Client) DeleteInstanceType(ctx context.Context, name string) error {
	return c.call(ctx, http.MethodDelete, nil, nil, nil, "instance-types", name)
}
