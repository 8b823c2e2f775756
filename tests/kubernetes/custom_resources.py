"""The fields that we use of other projects' resources, as JSON Schemas; no package brings theirs.

Sources, read in the projects' repositories:
  EMQX Operator, docs/en_US/reference/v2beta1-reference.md (apps.emqx.io/v2beta1)
  OT-CONTAINER-KIT/redis-operator, api/redis/v1beta2/redis_types.go, api/common/v1beta2/common_types.go
  KEDA, apis/keda/v1alpha1/scaledobject_types.go; keda.sh/docs, scalers, Prometheus
What is of Kubernetes itself in them is held against Kubernetes' schemas: as a pod, a claim or an autoscaler.
"""

from __future__ import annotations

from typing import Any

import jsonschema
import kubernetes_validate

Schema = dict[str, Any]

TEXT: Schema = {"type": "string", "minLength": 1}
COUNT: Schema = {"type": "integer", "minimum": 0}
FLAG: Schema = {"type": "boolean"}
OF_KUBERNETES: Schema = {"type": ["object", "array"]}
"""Held against Kubernetes' own schemas in `check`."""


def fields(*required: str, **known: Schema) -> Schema:
    """Return the schema of an object with these fields and no others."""
    return {"type": "object", "properties": known, "required": list(required), "additionalProperties": False}


METADATA = fields(
    "labels", name=TEXT, namespace=TEXT, labels={"type": "object", "additionalProperties": TEXT},
    annotations={"type": "object", "additionalProperties": TEXT},
)  # fmt: skip
SCHEMAS: dict[str, Schema] = {
    "EMQX": fields(
        "apiVersion", "kind", "metadata", "spec",
        apiVersion={"const": "apps.emqx.io/v2beta1"}, kind={"const": "EMQX"}, metadata=METADATA,
        spec=fields(
            "image",
            image=TEXT, imagePullPolicy=TEXT, imagePullSecrets=OF_KUBERNETES, serviceAccountName=TEXT,
            config=fields(mode={"enum": ["Merge", "Replace"]}, data=TEXT),
            clusterDomain=TEXT, revisionHistoryLimit=COUNT,
            coreTemplate=fields(
                metadata=METADATA,
                spec=fields(
                    replicas=COUNT, nodeSelector=OF_KUBERNETES, affinity=OF_KUBERNETES, tolerations=OF_KUBERNETES,
                    env=OF_KUBERNETES, resources=OF_KUBERNETES, podSecurityContext=OF_KUBERNETES,
                    containerSecurityContext=OF_KUBERNETES, extraVolumes=OF_KUBERNETES, extraVolumeMounts=OF_KUBERNETES,
                    volumeClaimTemplates=OF_KUBERNETES,
                ),
            ),
            listenersServiceTemplate=fields(enabled=FLAG, metadata=METADATA, spec=OF_KUBERNETES),
            dashboardServiceTemplate=fields(enabled=FLAG, metadata=METADATA, spec=OF_KUBERNETES),
        ),
    ),
    "Redis": fields(
        "apiVersion", "kind", "metadata", "spec",
        apiVersion={"const": "redis.redis.opstreelabs.in/v1beta2"}, kind={"const": "Redis"}, metadata=METADATA,
        spec=fields(
            "kubernetesConfig",
            kubernetesConfig=fields(
                "image",
                image=TEXT, imagePullPolicy=TEXT, resources=OF_KUBERNETES, redisSecret=fields(name=TEXT, key=TEXT),
            ),
            redisConfig=fields(additionalRedisConfig=TEXT),
            serviceAccountName=TEXT, terminationGracePeriodSeconds=COUNT,
            TLS=fields("secret", ca=TEXT, cert=TEXT, key=TEXT, secret=OF_KUBERNETES),
            podSecurityContext=OF_KUBERNETES, securityContext=OF_KUBERNETES,
            storage=fields(keepAfterDelete=FLAG, volumeClaimTemplate=fields(spec=OF_KUBERNETES)),
        ),
    ),
    "ScaledObject": fields(
        "apiVersion", "kind", "metadata", "spec",
        apiVersion={"const": "keda.sh/v1alpha1"}, kind={"const": "ScaledObject"}, metadata=METADATA,
        spec=fields(
            "scaleTargetRef", "triggers",
            scaleTargetRef=fields("name", name=TEXT, apiVersion=TEXT, kind=TEXT, envSourceContainerName=TEXT),
            pollingInterval=COUNT, cooldownPeriod=COUNT, minReplicaCount=COUNT, maxReplicaCount=COUNT,
            advanced=fields(horizontalPodAutoscalerConfig=fields(name=TEXT, behavior=OF_KUBERNETES)),
            triggers={
                "type": "array", "minItems": 1,
                "items": fields(
                    "type", "metadata",
                    type={"const": "prometheus"}, name=TEXT, metricType={"enum": ["AverageValue", "Value"]},
                    metadata=fields( # strings, all of them
                        "serverAddress", "query", "threshold",
                        serverAddress=TEXT, query=TEXT, threshold=TEXT, activationThreshold=TEXT, namespace=TEXT,
                        ignoreNullValues={"enum": ["true", "false"]}, unsafeSsl={"enum": ["true", "false"]},
                    ),
                ),
            },
        ),
    ),
}  # fmt: skip


def check(resource: dict[str, Any], version: str) -> None:
    """Pass where a resource has only fields of its kind, and what is of Kubernetes in it is right.

    Raises: jsonschema.ValidationError, kubernetes_validate.ValidationError.
    """
    kind = resource["kind"]
    jsonschema.Draft202012Validator(SCHEMAS[kind]).validate(resource)
    for stand_in in STAND_INS[kind](resource["spec"]):
        metadata = {"name": "stand-in", "namespace": "headwater"}
        kubernetes_validate.validate({"metadata": metadata, **stand_in}, version, strict=True)


def _pod(container: Schema, **spec: Any) -> Schema:
    given = {key: value for key, value in spec.items() if value is not None}
    return {"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"name": "one", **container}], **given}}


def _claim(spec: Schema) -> Schema:
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "spec": spec}


def _emqx(spec: Schema) -> list[Schema]:
    core = spec["coreTemplate"]["spec"]
    container = {
        "image": spec["image"], "env": core["env"], "resources": core["resources"],
        "securityContext": core["containerSecurityContext"], "volumeMounts": core["extraVolumeMounts"],
    }  # fmt: skip
    pod = _pod(
        container, securityContext=core["podSecurityContext"], affinity=core["affinity"], volumes=core["extraVolumes"]
    )
    return [pod, _claim(core["volumeClaimTemplates"])]


def _redis(spec: Schema) -> list[Schema]:
    config = spec["kubernetesConfig"]
    container = {
        "image": config["image"], "resources": config["resources"], "securityContext": spec["securityContext"],
    }  # fmt: skip
    tls = [{"name": "tls", "secret": spec["TLS"]["secret"]}]
    pod = _pod(container, securityContext=spec["podSecurityContext"], volumes=tls)
    return [pod, _claim(spec["storage"]["volumeClaimTemplate"]["spec"])]


def _scaled_object(spec: Schema) -> list[Schema]:
    scaler = {
        "scaleTargetRef": spec["scaleTargetRef"],
        "minReplicas": spec["minReplicaCount"],
        "maxReplicas": spec["maxReplicaCount"],
        "behavior": spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"],
    }
    return [{"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "spec": scaler}]


STAND_INS = {"EMQX": _emqx, "Redis": _redis, "ScaledObject": _scaled_object}
