// Package client calls Amazon MQ's API as the operator does, with Godwit's own credentials in place of a signature, for the command line, the console and tests.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"strings"

	"github.com/godwitmq/godwit/control/client"
	"github.com/godwitmq/godwit/control/mqapi"
)

// Client calls the API of one service. It may be used concurrently.
type Client struct {
	api             *client.Client
	account, region string
}

// New makes a client that asks for an account and a region; "" is the service's own.
func New(api *client.Client, account, region string) *Client {
	return &Client{api: api, account: account, region: region}
}

// call asks for an operation. An error of the API's is a *mqapi.Error; others are those of package control/client.
func (c *Client) call(ctx context.Context, name string, request, answer any) error {
	op := mqapi.Operations[name]
	r, err := c.request(ctx, op, request)
	if err != nil {
		return fmt.Errorf("make a request of %s: %w", name, err)
	}
	response, err := c.api.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		return fmt.Errorf("read the answer to %s: %w", name, err)
	}
	if kind := response.Header.Get("x-amzn-ErrorType"); kind != "" {
		var said struct{ ErrorAttribute, Message string }
		if err := json.Unmarshal(data, &said); err != nil {
			return fmt.Errorf("read the answer to %s: %w", name, err)
		}
		return &mqapi.Error{Kind: mqapi.Kind(kind), Attribute: said.ErrorAttribute, Message: said.Message}
	}
	if response.StatusCode >= http.StatusMultipleChoices {
		return c.api.Refusal(response, data)
	}
	if answer == nil {
		return nil
	}
	if err := json.Unmarshal(data, answer); err != nil {
		return fmt.Errorf("read the answer to %s: %w", name, err)
	}
	return nil
}

// request puts each member of a request where the operation has it.
func (c *Client) request(ctx context.Context, op *mqapi.Operation, request any) (*http.Request, error) {
	path, query := op.Path, url.Values{}
	v := reflect.ValueOf(request).Elem()
	for _, m := range mqapi.Members(op.Request) {
		f := v.FieldByName(m.Field)
		if m.In == "path" {
			if f.String() == "" {
				return nil, errors.New(m.Wire + " is empty")
			}
			path = strings.Replace(path, "{"+m.Wire+"}", url.PathEscape(f.String()), 1)
		}
		if m.In != "query" {
			continue
		}
		switch f.Kind() {
		case reflect.Slice:
			for i := range f.Len() {
				query.Add(m.Wire, fmt.Sprint(f.Index(i)))
			}
		case reflect.Pointer:
			if !f.IsNil() {
				query.Set(m.Wire, fmt.Sprint(f.Elem()))
			}
		}
	}
	body, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	target := c.api.URL() + "/api/v1/mq" + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	r, err := http.NewRequestWithContext(ctx, op.Method, target, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	for header, value := range map[string]string{mqapi.AccountHeader: c.account, mqapi.RegionHeader: c.region} {
		if value != "" {
			r.Header.Set(header, value)
		}
	}
	return r, nil
}

// CreateBroker is Amazon MQ's operation of that name.
func (c *Client) CreateBroker(ctx context.Context, r *mqapi.CreateBrokerRequest) (*mqapi.CreateBrokerResponse, error) {
	answer := &mqapi.CreateBrokerResponse{}
	return answer, c.call(ctx, "CreateBroker", r, answer)
}

// CreateConfiguration is Amazon MQ's operation of that name.
func (c *Client) CreateConfiguration(ctx context.Context, r *mqapi.CreateConfigurationRequest) (*mqapi.CreateConfigurationResponse, error) {
	answer := &mqapi.CreateConfigurationResponse{}
	return answer, c.call(ctx, "CreateConfiguration", r, answer)
}

// CreateTags is Amazon MQ's operation of that name.
func (c *Client) CreateTags(ctx context.Context, r *mqapi.CreateTagsRequest) error {
	return c.call(ctx, "CreateTags", r, nil)
}

// CreateUser is Amazon MQ's operation of that name.
func (c *Client) CreateUser(ctx context.Context, r *mqapi.CreateUserRequest) error {
	return c.call(ctx, "CreateUser", r, nil)
}

// DeleteBroker is Amazon MQ's operation of that name.
func (c *Client) DeleteBroker(ctx context.Context, r *mqapi.DeleteBrokerRequest) (*mqapi.DeleteBrokerResponse, error) {
	answer := &mqapi.DeleteBrokerResponse{}
	return answer, c.call(ctx, "DeleteBroker", r, answer)
}

// DeleteConfiguration is Amazon MQ's operation of that name.
func (c *Client) DeleteConfiguration(ctx context.Context, r *mqapi.DeleteConfigurationRequest) (*mqapi.DeleteConfigurationResponse, error) {
	answer := &mqapi.DeleteConfigurationResponse{}
	return answer, c.call(ctx, "DeleteConfiguration", r, answer)
}

// DeleteTags is Amazon MQ's operation of that name.
func (c *Client) DeleteTags(ctx context.Context, r *mqapi.DeleteTagsRequest) error {
	return c.call(ctx, "DeleteTags", r, nil)
}

// DeleteUser is Amazon MQ's operation of that name.
func (c *Client) DeleteUser(ctx context.Context, r *mqapi.DeleteUserRequest) error {
	return c.call(ctx, "DeleteUser", r, nil)
}

// DescribeBroker is Amazon MQ's operation of that name.
func (c *Client) DescribeBroker(ctx context.Context, r *mqapi.DescribeBrokerRequest) (*mqapi.DescribeBrokerResponse, error) {
	answer := &mqapi.DescribeBrokerResponse{}
	return answer, c.call(ctx, "DescribeBroker", r, answer)
}

// DescribeBrokerEngineTypes is Amazon MQ's operation of that name.
func (c *Client) DescribeBrokerEngineTypes(ctx context.Context, r *mqapi.DescribeBrokerEngineTypesRequest) (*mqapi.DescribeBrokerEngineTypesResponse, error) {
	answer := &mqapi.DescribeBrokerEngineTypesResponse{}
	return answer, c.call(ctx, "DescribeBrokerEngineTypes", r, answer)
}

// DescribeBrokerInstanceOptions is Amazon MQ's operation of that name.
func (c *Client) DescribeBrokerInstanceOptions(ctx context.Context, r *mqapi.DescribeBrokerInstanceOptionsRequest) (*mqapi.DescribeBrokerInstanceOptionsResponse, error) {
	answer := &mqapi.DescribeBrokerInstanceOptionsResponse{}
	return answer, c.call(ctx, "DescribeBrokerInstanceOptions", r, answer)
}

// DescribeConfiguration is Amazon MQ's operation of that name.
func (c *Client) DescribeConfiguration(ctx context.Context, r *mqapi.DescribeConfigurationRequest) (*mqapi.DescribeConfigurationResponse, error) {
	answer := &mqapi.DescribeConfigurationResponse{}
	return answer, c.call(ctx, "DescribeConfiguration", r, answer)
}

// DescribeConfigurationRevision is Amazon MQ's operation of that name.
func (c *Client) DescribeConfigurationRevision(ctx context.Context, r *mqapi.DescribeConfigurationRevisionRequest) (*mqapi.DescribeConfigurationRevisionResponse, error) {
	answer := &mqapi.DescribeConfigurationRevisionResponse{}
	return answer, c.call(ctx, "DescribeConfigurationRevision", r, answer)
}

// DescribeUser is Amazon MQ's operation of that name.
func (c *Client) DescribeUser(ctx context.Context, r *mqapi.DescribeUserRequest) (*mqapi.DescribeUserResponse, error) {
	answer := &mqapi.DescribeUserResponse{}
	return answer, c.call(ctx, "DescribeUser", r, answer)
}

// ListBrokers is Amazon MQ's operation of that name.
func (c *Client) ListBrokers(ctx context.Context, r *mqapi.ListBrokersRequest) (*mqapi.ListBrokersResponse, error) {
	answer := &mqapi.ListBrokersResponse{}
	return answer, c.call(ctx, "ListBrokers", r, answer)
}

// ListConfigurationRevisions is Amazon MQ's operation of that name.
func (c *Client) ListConfigurationRevisions(ctx context.Context, r *mqapi.ListConfigurationRevisionsRequest) (*mqapi.ListConfigurationRevisionsResponse, error) {
	answer := &mqapi.ListConfigurationRevisionsResponse{}
	return answer, c.call(ctx, "ListConfigurationRevisions", r, answer)
}

// ListConfigurations is Amazon MQ's operation of that name.
func (c *Client) ListConfigurations(ctx context.Context, r *mqapi.ListConfigurationsRequest) (*mqapi.ListConfigurationsResponse, error) {
	answer := &mqapi.ListConfigurationsResponse{}
	return answer, c.call(ctx, "ListConfigurations", r, answer)
}

// ListTags is Amazon MQ's operation of that name.
func (c *Client) ListTags(ctx context.Context, r *mqapi.ListTagsRequest) (*mqapi.ListTagsResponse, error) {
	answer := &mqapi.ListTagsResponse{}
	return answer, c.call(ctx, "ListTags", r, answer)
}

// ListUsers is Amazon MQ's operation of that name.
func (c *Client) ListUsers(ctx context.Context, r *mqapi.ListUsersRequest) (*mqapi.ListUsersResponse, error) {
	answer := &mqapi.ListUsersResponse{}
	return answer, c.call(ctx, "ListUsers", r, answer)
}

// RebootBroker is Amazon MQ's operation of that name.
func (c *Client) RebootBroker(ctx context.Context, r *mqapi.RebootBrokerRequest) error {
	return c.call(ctx, "RebootBroker", r, nil)
}

// SwitchoverBroker is Godwit's operation of that name.
func (c *Client) SwitchoverBroker(ctx context.Context, r *mqapi.SwitchoverBrokerRequest) (*mqapi.SwitchoverBrokerResponse, error) {
	answer := &mqapi.SwitchoverBrokerResponse{}
	return answer, c.call(ctx, "SwitchoverBroker", r, answer)
}

// UpdateBroker is Amazon MQ's operation of that name.
func (c *Client) UpdateBroker(ctx context.Context, r *mqapi.UpdateBrokerRequest) (*mqapi.UpdateBrokerResponse, error) {
	answer := &mqapi.UpdateBrokerResponse{}
	return answer, c.call(ctx, "UpdateBroker", r, answer)
}

// UpdateConfiguration is Amazon MQ's operation of that name.
func (c *Client) UpdateConfiguration(ctx context.Context, r *mqapi.UpdateConfigurationRequest) (*mqapi.UpdateConfigurationResponse, error) {
	answer := &mqapi.UpdateConfigurationResponse{}
	return answer, c.call(ctx, "UpdateConfiguration", r, answer)
}

// UpdateUser is Amazon MQ's operation of that name.
func (c *Client) UpdateUser(ctx context.Context, r *mqapi.UpdateUserRequest) error {
	return c.call(ctx, "UpdateUser", r, nil)
}
