// Command sdk calls every operation of Amazon MQ's API with aws-sdk-go-v2, at the service that INTEROP_MQ names, and says what came of it in the lines
// that ../../README.md describes. It is a module of its own, so that Godwit's does not depend on the SDK.
package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/mq"
	"github.com/aws/aws-sdk-go-v2/service/mq/types"
	"github.com/aws/smithy-go"
)

const region = "eu-central-1"

func client(url, key, secret string) *mq.Client {
	return mq.New(mq.Options{Region: region, BaseEndpoint: &url, Credentials: credentials.NewStaticCredentialsProvider(key, secret, "")})
}

// life is what the scenarios have made so far.
type life struct {
	*mq.Client
	configuration, broker, arn string
}

func main() {
	key, secret, url := os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY"), os.Getenv("INTEROP_MQ")
	l := &life{Client: client(url, key, secret)}
	for _, s := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"configurations", l.configurations}, {"brokers", l.brokers}, {"lists", l.lists}, {"users", l.users}, {"tags", l.tags}, {"refused-operations", l.refusedOperations},
		{"credentials", func(ctx context.Context) error {
			_, wrong := client(url, key, secret+"x").ListBrokers(ctx, &mq.ListBrokersInput{})
			_, unknown := client(url, "AKIDNOBODY", secret).ListBrokers(ctx, &mq.ListBrokersInput{})
			_, past := client(url, "AKIDPAST", secret).DescribeBroker(ctx, &mq.DescribeBrokerInput{BrokerId: &l.broker})
			var forbidden *types.ForbiddenException
			if errors.As(past, &forbidden) { // for which Terraform would drop the broker from its state
				return fmt.Errorf("an expired key is a ForbiddenException: %w", past)
			}
			return errors.Join(refused(wrong, "InvalidSignatureException", "", "secret access key"), refused(unknown, "UnrecognizedClientException", "", "AKIDNOBODY"), refused(past, "ExpiredTokenException", "", "expired"))
		}},
		{"wrong-clock", func(ctx context.Context) error { // the SDK corrects it after the first refusal
			_, err := client(os.Getenv("INTEROP_MQ_AHEAD"), key, secret).ListBrokers(ctx, &mq.ListBrokersInput{})
			return err
		}},
		{"deletions", l.deletions},
		{"throttled", func(ctx context.Context) error { // more than the burst: the SDK tries again by itself
			for range 130 {
				if _, err := l.ListBrokers(ctx, &mq.ListBrokersInput{}); err != nil {
					return err
				}
			}
			return nil
		}},
	} {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		if err := s.do(ctx); err != nil {
			fmt.Println("FAIL", s.name, strings.ReplaceAll(err.Error(), "\n", " "))
		} else {
			fmt.Println("ok", s.name)
		}
		cancel()
	}
	fmt.Println("done")
}

// equal complains if two values differ.
func equal(what string, got, want any) error {
	if !reflect.DeepEqual(got, want) {
		return fmt.Errorf("%s: got %v, want %v", what, got, want)
	}
	return nil
}

// refused complains unless err is of that code, with those words, and, if it is one of the model's errors, that attribute.
func refused(err error, code, attribute, words string) error {
	var e smithy.APIError
	if !errors.As(err, &e) || e.ErrorCode() != code || !strings.Contains(e.ErrorMessage(), words) {
		return fmt.Errorf("got error %v, want %s: %s", err, code, words)
	}
	if attribute == "" {
		return nil
	}
	f := reflect.ValueOf(e).Elem().FieldByName("ErrorAttribute")
	if !f.IsValid() || f.IsNil() || f.Elem().String() != attribute {
		return fmt.Errorf("attribute of %v is not %s", err, attribute)
	}
	return nil
}

func (l *life) configurations(ctx context.Context) error {
	c, err := l.CreateConfiguration(ctx, &mq.CreateConfigurationInput{Name: aws.String("base"), EngineType: types.EngineTypeActivemq, EngineVersion: aws.String("5.19")})
	if err != nil {
		return err
	}
	l.configuration = *c.Id
	data := base64.StdEncoding.EncodeToString([]byte("<broker/>"))
	u, err := l.UpdateConfiguration(ctx, &mq.UpdateConfigurationInput{ConfigurationId: c.Id, Data: &data})
	if err != nil {
		return err
	}
	r, err := l.DescribeConfigurationRevision(ctx, &mq.DescribeConfigurationRevisionInput{ConfigurationId: c.Id, ConfigurationRevision: aws.String("2")})
	if err != nil {
		return err
	}
	d, err := l.DescribeConfiguration(ctx, &mq.DescribeConfigurationInput{ConfigurationId: c.Id})
	if err != nil {
		return err
	}
	list, err := l.ListConfigurations(ctx, &mq.ListConfigurationsInput{})
	if err != nil {
		return err
	}
	revisions, err := l.ListConfigurationRevisions(ctx, &mq.ListConfigurationRevisionsInput{ConfigurationId: c.Id})
	if err != nil {
		return err
	}
	_, unknown := l.DescribeConfiguration(ctx, &mq.DescribeConfigurationInput{ConfigurationId: aws.String("c-0")})
	_, bad := l.UpdateConfiguration(ctx, &mq.UpdateConfigurationInput{ConfigurationId: c.Id, Data: aws.String("<broker/>")})
	return errors.Join(equal("revision", *u.LatestRevision.Revision, int32(2)), equal("data", *r.Data, data), equal("name", *d.Name, "base"), equal("time", d.Created.IsZero(), false),
		equal("configurations", len(list.Configurations), 1), equal("revisions", len(revisions.Revisions), 2),
		refused(unknown, "NotFoundException", "configuration-id", "c-0"), refused(bad, "BadRequestException", "data", "base64"))
}

func payroll() *mq.CreateBrokerInput {
	return &mq.CreateBrokerInput{BrokerName: aws.String("payroll"), DeploymentMode: types.DeploymentModeActiveStandbyMultiAz, EngineType: types.EngineTypeActivemq, EngineVersion: aws.String("5.19"),
		HostInstanceType: aws.String("mq.m5.large"), PubliclyAccessible: aws.Bool(false), Users: []types.User{{Username: aws.String("ops"), Password: aws.String("correct horse 7")}},
		SubnetIds: []string{"subnet-a", "subnet-b"}, Tags: map[string]string{"team": "pay"}}
}

func (l *life) brokers(ctx context.Context) error {
	in := payroll()
	in.CreatorRequestId = aws.String("token")
	in.Configuration = &types.ConfigurationId{Id: &l.configuration, Revision: aws.Int32(2)}
	b, err := l.CreateBroker(ctx, in)
	if err != nil {
		return err
	}
	l.broker, l.arn = *b.BrokerId, *b.BrokerArn
	again, err := l.CreateBroker(ctx, in)
	if err != nil {
		return err
	}
	_, taken := l.CreateBroker(ctx, payroll())
	if _, err := l.UpdateBroker(ctx, &mq.UpdateBrokerInput{BrokerId: b.BrokerId, EngineVersion: aws.String("5.18")}); err != nil {
		return err
	}
	d, err := l.DescribeBroker(ctx, &mq.DescribeBrokerInput{BrokerId: b.BrokerId})
	if err != nil {
		return err
	}
	if _, err := l.RebootBroker(ctx, &mq.RebootBrokerInput{BrokerId: b.BrokerId}); err != nil {
		return err
	}
	_, unknown := l.DescribeBroker(ctx, &mq.DescribeBrokerInput{BrokerId: aws.String("b-0")})
	wrong := payroll()
	wrong.Users[0].Password = aws.String("short")
	_, short := l.CreateBroker(ctx, wrong)
	return errors.Join(equal("the broker of the same token", *again.BrokerId, l.broker), equal("state", d.BrokerState, types.BrokerStateRunning), equal("version", *d.EngineVersion, "5.18"),
		equal("engine type", string(d.EngineType), "ActiveMQ"), equal("instances", len(d.BrokerInstances), 2), equal("created", time.Since(*d.Created) < time.Hour, true),
		refused(taken, "ConflictException", "brokerName", "payroll"), refused(unknown, "NotFoundException", "broker-id", "b-0"), refused(short, "BadRequestException", "users[0].password", "12 to 250"))
}

func (l *life) lists(ctx context.Context) error {
	for i := range 11 {
		in := payroll()
		in.BrokerName = aws.String(fmt.Sprintf("more%d", i))
		if _, err := l.CreateBroker(ctx, in); err != nil {
			return err
		}
	}
	var sizes []int
	pages := mq.NewListBrokersPaginator(l, &mq.ListBrokersInput{MaxResults: aws.Int32(5)})
	for pages.HasMorePages() {
		p, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		sizes = append(sizes, len(p.BrokerSummaries))
	}
	engines, err := l.DescribeBrokerEngineTypes(ctx, &mq.DescribeBrokerEngineTypesInput{EngineType: aws.String("ACTIVEMQ")})
	if err != nil {
		return err
	}
	options, err := l.DescribeBrokerInstanceOptions(ctx, &mq.DescribeBrokerInstanceOptionsInput{HostInstanceType: aws.String("mq.t3.micro")})
	if err != nil {
		return err
	}
	return errors.Join(equal("brokers a page", sizes, []int{5, 5, 2}), equal("engine types", len(engines.BrokerEngineTypes), 1), equal("options", len(options.BrokerInstanceOptions), 1))
}

func (l *life) users(ctx context.Context) error {
	name := aws.String("new.user~1")
	if _, err := l.CreateUser(ctx, &mq.CreateUserInput{BrokerId: &l.broker, Username: name, Password: aws.String("correct horse 8"), Groups: []string{"a.b"}}); err != nil {
		return err
	}
	if _, err := l.UpdateUser(ctx, &mq.UpdateUserInput{BrokerId: &l.broker, Username: name, ConsoleAccess: aws.Bool(true)}); err != nil {
		return err
	}
	u, err := l.DescribeUser(ctx, &mq.DescribeUserInput{BrokerId: &l.broker, Username: name})
	if err != nil {
		return err
	}
	list, err := l.ListUsers(ctx, &mq.ListUsersInput{BrokerId: &l.broker})
	if err != nil {
		return err
	}
	if _, err := l.DeleteUser(ctx, &mq.DeleteUserInput{BrokerId: &l.broker, Username: name}); err != nil {
		return err
	}
	_, gone := l.DescribeUser(ctx, &mq.DescribeUserInput{BrokerId: &l.broker, Username: name})
	return errors.Join(equal("console access", *u.ConsoleAccess, true), equal("groups", u.Groups, []string{"a.b"}), equal("users", len(list.Users), 2), refused(gone, "NotFoundException", "username", *name))
}

func (l *life) tags(ctx context.Context) error {
	if _, err := l.CreateTags(ctx, &mq.CreateTagsInput{ResourceArn: &l.arn, Tags: map[string]string{"a": "1", "b c": "ü"}}); err != nil {
		return err
	}
	if _, err := l.DeleteTags(ctx, &mq.DeleteTagsInput{ResourceArn: &l.arn, TagKeys: []string{"team", "b c"}}); err != nil {
		return err
	}
	list, err := l.ListTags(ctx, &mq.ListTagsInput{ResourceArn: &l.arn})
	if err != nil {
		return err
	}
	_, foreign := l.ListTags(ctx, &mq.ListTagsInput{ResourceArn: aws.String(strings.Replace(l.arn, "123456789012", "210987654321", 1))})
	return errors.Join(equal("tags", list.Tags, map[string]string{"a": "1"}), refused(foreign, "ForbiddenException", "resource-arn", "account"))
}

func (l *life) refusedOperations(ctx context.Context) error {
	_, promote := l.Promote(ctx, &mq.PromoteInput{BrokerId: &l.broker, Mode: types.PromoteModeFailover})
	return refused(promote, "BadRequestException", "", "Promote is refused")
}

func (l *life) deletions(ctx context.Context) error {
	_, used := l.DeleteConfiguration(ctx, &mq.DeleteConfigurationInput{ConfigurationId: &l.configuration})
	if _, err := l.DeleteBroker(ctx, &mq.DeleteBrokerInput{BrokerId: &l.broker}); err != nil {
		return err
	}
	if _, err := l.DeleteConfiguration(ctx, &mq.DeleteConfigurationInput{ConfigurationId: &l.configuration}); err != nil {
		return err
	}
	_, gone := l.DeleteBroker(ctx, &mq.DeleteBrokerInput{BrokerId: &l.broker})
	return errors.Join(refused(used, "ConflictException", "configuration-id", "payroll"), refused(gone, "NotFoundException", "broker-id", l.broker))
}
