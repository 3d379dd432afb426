#!/bin/sh
# shellcheck disable=SC2086 # several options in one variable, as in Kafka's own script
exec java $KAFKA_JVM_PERFORMANCE_OPTS -cp '/opt/kafka/libs/*' org.apache.kafka.tools.BrokerApiVersionsCommand "$@"
