"""The envelope of an event that leaves the service: CloudEvents 1.0, structured JSON.

Source: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md
"""

from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

CONTENT_TYPE = "application/cloudevents+json; charset=utf-8"


# The specification allows no control characters (3.1), and databases do not store all of them.
Attribute = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]


class CloudEvent(BaseModel):
    """What everybody may know of any event, whatever it is about."""

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)  # others may add attributes

    specversion: Literal["1.0"] = "1.0"
    id: Attribute = Field(min_length=1, max_length=100, description="The same however often the event comes.")
    source: Attribute = Field(min_length=1, max_length=150, description="Which service says so.")
    type: Attribute = Field(
        min_length=1, max_length=200, description="What has happened, with its version: `user.registered.v1`."
    )
    subject: str = Field(description="Whom or what it happened to: the key by which events keep their order.")
    time: AwareDatetime = Field(description="When it happened.")
    datacontenttype: Literal["application/json"] = "application/json"
    requestid: Attribute | None = Field(
        default=None, max_length=200, description="The request that began it; an extension."
    )
    traceparent: str | None = Field(default=None, description="The trace that it belongs to; an extension of W3C.")
    data: dict[str, Any]

    @property
    def context(self) -> dict[str, str]:
        """What the log says of what is done for it, and what comes of it tells on."""
        known = {"request_id": self.requestid, "traceparent": self.traceparent}
        return {name: value for name, value in known.items() if value is not None}
