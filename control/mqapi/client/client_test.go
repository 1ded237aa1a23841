package client_test

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"testing"

	"github.com/godwitmq/godwit/control/client"
	"github.com/godwitmq/godwit/control/mqapi"
	mqclient "github.com/godwitmq/godwit/control/mqapi/client"
	"github.com/godwitmq/godwit/control/mqapi/mqapitest"
)

// TestOperations: the client has each operation that is not refused, with its request and its answer.
func TestOperations(t *testing.T) {
	have := reflect.TypeFor[*mqclient.Client]()
	for name, op := range mqapi.Operations {
		m, ok := have.MethodByName(name)
		if ok != (op.Refused == "") {
			t.Errorf("%s: the client has it: %v; it is refused: %q", name, ok, op.Refused)
			continue
		}
		if !ok {
			continue
		}
		if asks := m.Type.In(2).Elem(); asks != op.Request {
			t.Errorf("%s asks with %v, want %v", name, asks, op.Request)
		}
		if n := m.Type.NumOut(); op.Response == nil && n != 1 || op.Response != nil && (n != 2 || m.Type.Out(0).Elem() != op.Response) {
			t.Errorf("%s answers with %d values, the first of which is %v; want %v and an error", name, n, m.Type.Out(0), op.Response)
		}
	}
}

// TestCalls puts members into path, query and body, and reads answers and errors, against the handler itself.
func TestCalls(t *testing.T) {
	handler, err := mqapi.New(mqapi.Options{Service: &mqapitest.Service{}, Keys: mqapitest.Keys{}, Account: "123456789012", Region: "eu-central-1"})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.StripPrefix("/api/v1/mq", handler.As("root")))
	defer server.Close()
	api, err := client.New(server.URL, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	mq, ctx := mqclient.New(api, "", ""), t.Context()

	made, err := mq.CreateBroker(ctx, &mqapi.CreateBrokerRequest{BrokerName: "payroll", DeploymentMode: mqapi.DeploymentModeSingleInstance, EngineType: mqapi.EngineTypeActiveMQ, HostInstanceType: "mq.t3.micro",
		Users: []mqapi.User{{Username: "ann", Password: "correct horse 7"}}})
	if err != nil {
		t.Fatal(err)
	}
	if is, err := mq.DescribeBroker(ctx, &mqapi.DescribeBrokerRequest{BrokerID: *made.BrokerID}); err != nil || *is.BrokerName != "payroll" {
		t.Errorf("described: %+v, %v", is, err)
	}
	if all, err := mq.ListBrokers(ctx, &mqapi.ListBrokersRequest{MaxResults: new(int32(5))}); err != nil || len(all.BrokerSummaries) != 1 {
		t.Errorf("listed: %+v, %v", all, err)
	}
	if err := mq.CreateTags(ctx, &mqapi.CreateTagsRequest{ResourceARN: *made.BrokerARN, Tags: map[string]string{"a b/c": "1", "d": "2", "e": "3"}}); err != nil { // an ARN has slashes and colons
		t.Fatal(err)
	}
	if err := mq.DeleteTags(ctx, &mqapi.DeleteTagsRequest{ResourceARN: *made.BrokerARN, TagKeys: []string{"a b/c", "d"}}); err != nil { // a list in the query
		t.Fatal(err)
	}
	if tags, err := mq.ListTags(ctx, &mqapi.ListTagsRequest{ResourceARN: *made.BrokerARN}); err != nil || len(tags.Tags) != 1 || tags.Tags["e"] != "3" {
		t.Errorf("tags: %+v, %v", tags, err)
	}
	c, err := mq.CreateConfiguration(ctx, &mqapi.CreateConfigurationRequest{Name: "ours", EngineType: mqapi.EngineTypeActiveMQ})
	if err != nil {
		t.Fatal(err)
	}
	data := base64.StdEncoding.EncodeToString([]byte("<broker/>"))
	if done, err := mq.UpdateConfiguration(ctx, &mqapi.UpdateConfigurationRequest{ConfigurationID: *c.ID, Data: data}); err != nil || done.LatestRevision.Revision != 2 {
		t.Errorf("updated: %+v, %v", done, err)
	}
	if v, err := mq.DescribeConfigurationRevision(ctx, &mqapi.DescribeConfigurationRevisionRequest{ConfigurationID: *c.ID, ConfigurationRevision: "2"}); err != nil || *v.Data != data {
		t.Errorf("revision: %+v, %v", v, err)
	}

	// Another region has nothing of it, and errors are Amazon's.
	elsewhere := mqclient.New(api, "", "us-west-2")
	_, err = elsewhere.DescribeBroker(ctx, &mqapi.DescribeBrokerRequest{BrokerID: *made.BrokerID})
	wantError(t, err, mqapi.NotFound, "broker-id")
	_, err = mq.UpdateBroker(ctx, &mqapi.UpdateBrokerRequest{BrokerID: *made.BrokerID, HostInstanceType: new("mq.none")})
	wantError(t, err, mqapi.BadRequest, "hostInstanceType")
	_, err = mqclient.New(api, "12", "").ListBrokers(ctx, &mqapi.ListBrokersRequest{})
	wantError(t, err, mqapi.BadRequest, mqapi.AccountHeader)
	if _, err = mq.DescribeBroker(ctx, &mqapi.DescribeBrokerRequest{}); err == nil {
		t.Error("an empty id was sent")
	}

	// Whoever else answers is told apart.
	other, err := client.New(server.URL+"/nowhere", client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var amazon *mqapi.Error
	if _, err := mqclient.New(other, "", "").ListBrokers(ctx, &mqapi.ListBrokersRequest{}); err == nil || errors.As(err, &amazon) {
		t.Errorf("a server that is no service: %v", err)
	}
}

func wantError(t *testing.T, err error, kind mqapi.Kind, attributes ...string) {
	t.Helper()
	var is *mqapi.Error
	if !errors.As(err, &is) || is.Kind != kind || !slices.Contains(attributes, is.Attribute) {
		t.Errorf("error %v, want %s of %v", err, kind, attributes)
	}
}
