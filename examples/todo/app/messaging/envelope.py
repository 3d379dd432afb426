"""The envelope of published events: CloudEvents 1.0, structured JSON.

Source: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md
"""

from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

CONTENT_TYPE = "application/cloudevents+json; charset=utf-8"


# The specification forbids control characters (3.1), and databases cannot store all of them.
Attribute = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]


class CloudEvent(BaseModel):
    """The attributes that all events have."""

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)  # others may add attributes

    specversion: Literal["1.0"] = "1.0"
    id: Attribute = Field(min_length=1, max_length=100, description="Unique within the source, the same on redelivery.")
    source: Attribute = Field(min_length=1, max_length=150, description="The service that published the event.")
    type: Attribute = Field(
        min_length=1, max_length=200, description="Event type with its version: `user.registered.v1`."
    )
    subject: str = Field(description="Id of what the event is about. Events with the same subject keep their order.")
    time: AwareDatetime = Field(description="When the event happened.")
    datacontenttype: Literal["application/json"] = "application/json"
    requestid: Attribute | None = Field(
        default=None, max_length=200, description="The request that caused the event; an extension."
    )
    traceparent: str | None = Field(default=None, description="W3C trace context; an extension.")
    data: dict[str, Any]

    @property
    def context(self) -> dict[str, str]:
        """Request id and trace context: log fields while the event is handled, and passed on to further events."""
        known = {"request_id": self.requestid, "traceparent": self.traceparent}
        return {name: value for name, value in known.items() if value is not None}
